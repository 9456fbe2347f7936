//! One delivery, from the leased message to the end of its lease.

use super::NotifierPorts;
use super::compose::{Composer, Unsendable};
use super::policy::DeliveryPolicy;
use super::providers::{Providers, Try};
use super::retry;
use crate::clock::Clock;
use crate::stores::{Attempt, Leased, Next, Settlement};
use crate::trace::{self, TraceSource};
use crate::transports::SendError;
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The delay before a message is due again that this node could not try.
const RELEASE_DELAY: Duration = Duration::from_secs(5);

/// Delivers messages: composes, sends, and decides what is next.
pub(super) struct Deliverer {
    composer: Composer,
    providers: Arc<Providers>,
    policy: DeliveryPolicy,
    clock: Arc<dyn Clock>,
    traces: Option<TraceSource>,
}

/// What happens to the message, and the try if one was made.
type DeliveryResult = (Next, Option<Attempt>);

impl Deliverer {
    pub(super) fn new(ports: &NotifierPorts, providers: Arc<Providers>) -> Self {
        Self {
            composer: Composer::new(ports),
            providers,
            policy: ports.policy.clone(),
            clock: Arc::clone(&ports.clock),
            traces: ports.traces.clone(),
        }
    }

    /// Delivers, unless `abandon` is cancelled first. Never panics: a message that makes the code panic must not affect
    /// the others.
    pub(super) async fn deliver(&self, leased: Leased, abandon: CancellationToken) -> Settlement {
        let (next, attempt) = tokio::select! {
            biased;
            () = abandon.cancelled() => (Next::Release(self.clock.now()), None),
            outcome = AssertUnwindSafe(self.traced_attempt(&leased)).catch_unwind() => outcome.unwrap_or_else(|_| {
                tracing::error!(message_id = leased.id.0, "a delivery panicked");
                let error = SendError::Transient { retry_after: None, text: "the delivery panicked".to_owned() };
                (self.after(&leased, 1, &error), None)
            }),
        };
        log(&leased, &next, attempt.as_ref());
        Settlement { id: leased.id, lease: leased.lease, next, attempt }
    }

    /// An attempt is a span of the trace of the request that queued the message.
    async fn traced_attempt(&self, leased: &Leased) -> DeliveryResult {
        let (Some(source), Some(parent)) = (&self.traces, &leased.trace) else { return self.attempt(leased).await };
        let (channel, kind) = (leased.message.to.channel().as_str(), leased.message.kind.as_str());
        let trace = source.begin(trace::delivery(channel, kind, leased.id.0), Some(parent));
        let result = trace.clone().around(self.attempt(leased)).await;
        trace.set_outcome(result.0.name());
        trace.end(matches!(result.0, Next::Dead(_)));
        result
    }

    async fn attempt(&self, leased: &Leased) -> DeliveryResult {
        let now = self.clock.now();
        if now >= leased.message.expires {
            return (Next::Expired, None);
        }
        let message = match self.composer.compose(leased) {
            Ok(message) => message,
            Err(Unsendable::Dead(reason)) => return (Next::Dead(reason.to_owned()), None),
            Err(Unsendable::KeyMissing) => {
                tracing::warn!(
                    message_id = leased.id.0,
                    "this node lacks the secret of a message; another may have it"
                );
                return (Next::Release(now.plus(RELEASE_DELAY)), None);
            }
        };
        // A try may take its whole time-out, and must end before the lease does.
        let time_out = self.policy.channel(leased.message.to.channel()).timeout;
        if now.plus(time_out) >= leased.until {
            return (Next::Release(now), None);
        }
        match self.providers.send(&message, leased.progress.provider, time_out).await {
            Some(tried) => self.conclude(leased, tried),
            None => (Next::Release(now.plus(RELEASE_DELAY)), None),
        }
    }

    fn conclude(&self, leased: &Leased, tried: Try) -> DeliveryResult {
        let mut attempt = Attempt {
            at: tried.at,
            provider: tried.name,
            outcome: "accepted".to_owned(),
            detail: None,
            reference: None,
            millis: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
        };
        let error = match tried.result {
            Ok(accepted) => {
                attempt.reference = accepted.reference;
                return (Next::Delivered, Some(attempt));
            }
            Err(error) => error,
        };
        attempt.outcome = error.label().to_owned();
        attempt.detail = Some(error.to_string());
        let mut leased = leased.clone();
        if tried.provider != leased.progress.provider {
            leased.progress.provider = tried.provider;
            leased.progress.consecutive_failures = 0;
        }
        let providers = self.providers.count(leased.message.to.channel());
        (self.after(&leased, providers, &error), Some(attempt))
    }

    fn after(&self, leased: &Leased, providers: u32, error: &SendError) -> Next {
        retry::after(&self.policy, leased, providers, error, self.clock.now(), rand::random())
    }
}

/// One log line for each delivery. The recipient is masked.
fn log(leased: &Leased, next: &Next, attempt: Option<&Attempt>) {
    let (message_id, kind, to) = (leased.id.0, leased.message.kind.as_str(), leased.message.to.masked());
    let provider = attempt.map(|attempt| attempt.provider.as_str());
    let detail = attempt.and_then(|attempt| attempt.detail.as_deref());
    match next {
        Next::Delivered => tracing::debug!(message_id, kind, to, provider, detail, "delivered"),
        Next::Retry { .. } | Next::Release(_) => {
            tracing::info!(message_id, kind, to, provider, detail, "will be tried again");
        }
        Next::Dead(reason) => tracing::warn!(message_id, kind, to, provider, reason, "dead"),
        Next::Expired => tracing::info!(message_id, kind, to, provider, detail, "expired"),
    }
}
