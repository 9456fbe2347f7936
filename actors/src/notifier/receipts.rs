//! What providers report later. Only what the provider signed is heard, and an attempt is settled once.

use super::engine::Engine;
use super::messages::{ReceiptRefusal, RecordReceipt};
use super::store::ReceiptEffect;
use crate::error::ErrorKind;
use crate::transports::{Callback, CallbackStatus};
use std::sync::Arc;
use std::time::Duration;

/// A report may overtake the commit of the attempt it is about; the attempt is looked for again after each of these.
const OVERTAKEN: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_000)];
/// And after these when the report is answered already: a provider tells it once, and a busy node may be late.
const ANSWERED: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(9), Duration::from_secs(27)];

impl Engine {
    /// Hears a report.
    pub(super) async fn record_receipt(
        self: &Arc<Self>,
        receipt: &RecordReceipt,
    ) -> Result<ReceiptEffect, ReceiptRefusal> {
        let place = self.sms.iter().position(|provider| provider.transport.name() == receipt.provider);
        let place = place.ok_or(ReceiptRefusal::NotGenuine)?;
        let callback = self.sms[place].transport.read_callback(&receipt.signature, &receipt.params);
        let callback = callback.ok_or(ReceiptRefusal::NotGenuine)?;
        if callback.status == CallbackStatus::Underway {
            return Ok(ReceiptEffect::Repeated);
        }
        let effect = self.look_for_attempt(&receipt.provider, &callback, &OVERTAKEN).await?;
        if effect == ReceiptEffect::Unknown {
            let (engine, provider) = (Arc::clone(self), receipt.provider.clone());
            actix::spawn(async move {
                if let Err(error) = engine.look_for_attempt(&provider, &callback, &ANSWERED).await {
                    tracing::warn!(provider, %error, "a report is lost: its attempt could not be looked for");
                }
            });
        }
        Ok(effect)
    }

    /// Settles the attempt that a report is about; looks again after each pause while there is none.
    async fn look_for_attempt(
        &self,
        provider: &str,
        callback: &Callback,
        pauses: &[Duration],
    ) -> Result<ReceiptEffect, ErrorKind> {
        let providers: Vec<&str> = self.sms.iter().map(|provider| provider.transport.name()).collect();
        let record = || self.ports.outbox.record_receipt(provider, callback, &providers);
        let mut effect = record().await.map_err(ErrorKind::from)?;
        for pause in pauses {
            if effect != ReceiptEffect::Unknown {
                break;
            }
            tokio::time::sleep(*pause).await;
            effect = record().await.map_err(ErrorKind::from)?;
        }
        if effect == ReceiptEffect::Requeued {
            tracing::info!(provider, code = callback.code, "an SMS goes to the next provider");
            self.bell.notify_one();
        }
        Ok(effect)
    }
}
