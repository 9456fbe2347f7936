//! What providers report later. Only what the provider signed is heard, and an attempt is settled once.

use super::engine::Engine;
use super::messages::{RecordReport, ReportRefusal};
use crate::error::ErrorKind;
use crate::stores::ReportEffect;
use crate::transports::{DeliveryReport, ReportStatus};
use std::sync::Arc;
use std::time::Duration;

/// A report may overtake the commit of the attempt it is about; the attempt is looked for again after each of these.
const OVERTAKEN: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_000)];
/// And after these when the report is answered already: a provider tells it once, and a busy node may be late.
const ANSWERED: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(9), Duration::from_secs(27)];

impl Engine {
    /// Hears a report.
    pub(super) async fn record_report(self: &Arc<Self>, receipt: &RecordReport) -> Result<ReportEffect, ReportRefusal> {
        let place = self.sms.iter().position(|provider| provider.transport.name() == receipt.provider);
        let place = place.ok_or(ReportRefusal::NotGenuine)?;
        let callback = self.sms[place].transport.read_report(&receipt.signature, &receipt.params);
        let callback = callback.ok_or(ReportRefusal::NotGenuine)?;
        if callback.status == ReportStatus::Underway {
            return Ok(ReportEffect::Repeated);
        }
        let effect = self.look_for_attempt(&receipt.provider, &callback, &OVERTAKEN).await?;
        if effect == ReportEffect::Unknown {
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
        callback: &DeliveryReport,
        pauses: &[Duration],
    ) -> Result<ReportEffect, ErrorKind> {
        let providers: Vec<&str> = self.sms.iter().map(|provider| provider.transport.name()).collect();
        let record = || self.ports.outbox.record_report(provider, callback, &providers);
        let mut effect = record().await.map_err(ErrorKind::from)?;
        for pause in pauses {
            if effect != ReportEffect::Unknown {
                break;
            }
            tokio::time::sleep(*pause).await;
            effect = record().await.map_err(ErrorKind::from)?;
        }
        if effect == ReportEffect::Requeued {
            tracing::info!(provider, code = callback.code, "an SMS goes to the next provider");
            self.bell.notify_one();
        }
        Ok(effect)
    }
}
