//! Delivery reports. A report must be signed by its provider, and an attempt is settled once.

use super::messages::{RecordReport, ReportRefusal};
use super::providers::Providers;
use crate::error::ErrorKind;
use crate::stores::{OutboxStore, ReportEffect};
use crate::trace;
use crate::transports::{DeliveryReport, ReportStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A report may arrive before its attempt is on record. The attempt is looked up again after each of these pauses.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_000)];
/// The report is answered by then, and providers do not repeat it. On a busy node the record may take longer.
const PAUSES_AFTER_ANSWER: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(9), Duration::from_secs(27)];

/// Records delivery reports; cheap to clone.
#[derive(Clone)]
pub(super) struct Reports {
    pub(super) providers: Arc<Providers>,
    pub(super) outbox: Arc<dyn OutboxStore>,
    /// Wakes the delivery loop for the next provider's turn.
    pub(super) wakeup: Arc<Notify>,
}

impl Reports {
    pub(super) async fn record(self, message: RecordReport) -> Result<ReportEffect, ReportRefusal> {
        let RecordReport { provider, signature, params } = message;
        let report = self.providers.read_report(&provider, &signature, &params).ok_or(ReportRefusal::NotGenuine)?;
        if report.status == ReportStatus::Underway {
            return Ok(ReportEffect::Repeated);
        }
        let mut effect = self.settle(&provider, &report).await?;
        for pause in PAUSES {
            if effect != ReportEffect::Unknown {
                return Ok(effect);
            }
            tokio::time::sleep(pause).await;
            effect = self.settle(&provider, &report).await?;
        }
        if effect == ReportEffect::Unknown {
            #[expect(
                clippy::disallowed_methods,
                reason = "the provider must get its answer before the record is found"
            )]
            actix::spawn(trace::carried(self.record_later(provider, report)));
        }
        Ok(effect)
    }

    /// An error of the store does not end the search: nobody will repeat the report.
    async fn record_later(self, provider: String, report: DeliveryReport) {
        for pause in PAUSES_AFTER_ANSWER {
            tokio::time::sleep(pause).await;
            match self.settle(&provider, &report).await {
                Ok(ReportEffect::Unknown) => {}
                Ok(_) => return,
                Err(error) => tracing::warn!(provider, %error, "the attempt of a report could not be looked up"),
            }
        }
        tracing::warn!(provider, "a report is ignored: its attempt is not on record");
    }

    /// Settles the attempt that a report is about, if it is on record.
    async fn settle(&self, provider: &str, report: &DeliveryReport) -> Result<ReportEffect, ErrorKind> {
        let names = self.providers.sms_names();
        let effect = self.outbox.record_report(provider, report, &names).await.map_err(ErrorKind::from)?;
        self.providers.reported(provider, report.status, effect);
        if effect == ReportEffect::Requeued {
            tracing::info!(provider, code = report.code, "an SMS goes to the next provider");
            self.wakeup.notify_one();
        }
        Ok(effect)
    }
}
