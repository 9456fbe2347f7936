//! What providers report later. Only what the provider signed is heard, and an attempt is settled once.

use super::engine::Engine;
use super::messages::{ReceiptRefusal, RecordReceipt};
use super::store::ReceiptEffect;
use crate::error::ErrorKind;
use crate::transports::CallbackStatus;
use std::time::Duration;

/// A report may overtake the commit of the attempt it is about; it is looked for again after each of these.
const OVERTAKEN: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_000)];

impl Engine {
    /// Hears a report.
    pub(super) async fn record_receipt(&self, receipt: &RecordReceipt) -> Result<ReceiptEffect, ReceiptRefusal> {
        let provider = self.sms.iter().find(|provider| provider.transport.name() == receipt.provider);
        let callback = provider.and_then(|p| p.transport.read_callback(&receipt.signature, &receipt.params));
        let callback = callback.ok_or(ReceiptRefusal::NotGenuine)?;
        if callback.status == CallbackStatus::Underway {
            return Ok(ReceiptEffect::Repeated);
        }
        let providers = u32::try_from(self.sms.len()).unwrap_or(1);
        let record = || self.ports.outbox.record_receipt(&receipt.provider, &callback, providers);
        let mut effect = record().await.map_err(ErrorKind::from)?;
        for pause in OVERTAKEN {
            if effect != ReceiptEffect::Unknown {
                break;
            }
            tokio::time::sleep(pause).await;
            effect = record().await.map_err(ErrorKind::from)?;
        }
        if effect == ReceiptEffect::Requeued {
            tracing::info!(provider = receipt.provider, code = callback.code, "an SMS goes to the next provider");
            self.bell.notify_one();
        }
        Ok(effect)
    }
}
