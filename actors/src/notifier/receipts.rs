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
        let place = self.sms.iter().position(|provider| provider.transport.name() == receipt.provider);
        let place = place.ok_or(ReceiptRefusal::NotGenuine)?;
        let callback = self.sms[place].transport.read_callback(&receipt.signature, &receipt.params);
        let callback = callback.ok_or(ReceiptRefusal::NotGenuine)?;
        if callback.status == CallbackStatus::Underway {
            return Ok(ReceiptEffect::Repeated);
        }
        let providers: Vec<&str> = self.sms.iter().map(|provider| provider.transport.name()).collect();
        let record = || self.ports.outbox.record_receipt(&receipt.provider, &callback, &providers);
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
