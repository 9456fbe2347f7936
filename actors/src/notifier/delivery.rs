//! One delivery, from the leased row to how it ends.

use super::compose::{Composed, Unsendable, compose};
use super::engine::{Engine, Provider};
use super::retry::{self, Case, Failure};
use crate::clock::Timestamp;
use crate::stores::{Attempt, Leased, Next, Settlement};
use crate::transports::SendError;
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// How soon a message is looked at again that this node could not even try.
const SOON: Duration = Duration::from_secs(5);

type Verdict = (Next, Option<Attempt>);

impl Engine {
    /// Delivers. Never panics: a message that makes the code panic must not take the others with it.
    pub(super) async fn deliver(&self, row: Leased) -> Settlement {
        let (next, attempt) = tokio::select! {
            biased;
            () = self.abandon.cancelled() => (Next::Release(self.ports.clock.now()), None),
            verdict = AssertUnwindSafe(self.attempt(&row)).catch_unwind() => verdict.unwrap_or_else(|_| {
                tracing::error!(message_id = row.id.0, "a delivery panicked");
                (self.after(&row, 1, &Failure::Transient(None)), None)
            }),
        };
        self.tally.count(&next);
        report(&row, &next, attempt.as_ref());
        Settlement { id: row.id, lease: row.lease, next, attempt }
    }

    async fn attempt(&self, row: &Leased) -> Verdict {
        let now = self.ports.clock.now();
        if now >= row.message.expires {
            return (Next::Expired, None);
        }
        match compose(&self.ports, row) {
            Ok(Composed::Mail(mail)) => self.send(row, &self.mail, &mail).await,
            Ok(Composed::Sms(sms)) => self.send(row, &self.sms, &sms).await,
            Err(Unsendable::Dead(reason)) => (Next::Dead(reason.to_owned()), None),
            Err(Unsendable::KeyMissing) => {
                tracing::warn!(
                    message_id = row.id.0,
                    "this node lacks the secret of a message; another one may have it"
                );
                (Next::Release(now.plus(SOON)), None)
            }
        }
    }

    /// Sends with the provider whose turn it is, or the next one that is not out of order.
    async fn send<M: Sync>(&self, row: &Leased, providers: &[Provider<M>], message: &M) -> Verdict {
        let count = providers.len();
        let now = self.ports.clock.now();
        // A try may take its whole time-out, and must end before the lease does.
        let time_out = self.ports.policy.timeout(row.message.to.channel());
        if now.plus(time_out) >= row.until {
            return (Next::Release(now), None);
        }
        let turn = row.progress.provider as usize;
        let admitted = (0..count)
            .map(|step| (turn + step) % count.max(1))
            .find(|place| providers[*place].breaker.admit(now, time_out));
        let Some(place) = admitted else {
            return (Next::Release(now.plus(SOON)), None);
        };
        let provider = &providers[place];
        let began = Instant::now();
        let sent = AssertUnwindSafe(provider.transport.send(message)).catch_unwind().await;
        // Of this message, as far as anybody knows: the others shall not wait for it.
        let panicked = || SendError::Transient { retry_after: None, text: "the transport panicked".to_owned() };
        let sent = sent.unwrap_or_else(|_| Err(panicked()));
        let mut attempt = Attempt {
            at: now,
            provider: provider.transport.name().to_owned(),
            outcome: "accepted".to_owned(),
            detail: None,
            reference: None,
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.heed(provider, sent.as_ref().err());
        let failure = match sent {
            Ok(receipt) => {
                attempt.reference = receipt.reference;
                return (Next::Delivered, Some(attempt));
            }
            Err(error) => {
                attempt.detail = Some(error.to_string());
                let (outcome, failure) = weigh(error);
                attempt.outcome = outcome.to_owned();
                failure
            }
        };
        let mut row = row.clone();
        if place != turn {
            row.progress.provider = u32::try_from(place).unwrap_or(0);
            row.progress.strikes = 0;
        }
        (self.after(&row, count, &failure), Some(attempt))
    }

    /// Tells the breaker. Whoever answers with a refusal of one message is in order.
    fn heed<M>(&self, provider: &Provider<M>, error: Option<&SendError>) {
        match error {
            None | Some(SendError::Permanent(_) | SendError::Transient { .. }) => provider.breaker.succeeded(),
            Some(SendError::ProviderFault(text) | SendError::Unconfirmed(text) | SendError::Unanswered(text)) => {
                if provider.breaker.failed(self.ports.clock.now()) {
                    tracing::warn!(provider = provider.transport.name(), reason = text, "a provider is left alone");
                }
            }
        }
    }

    fn after(&self, row: &Leased, providers: usize, failure: &Failure) -> Next {
        let case = Case {
            channel: row.message.to.channel(),
            providers: u32::try_from(providers).unwrap_or(1),
            created: row.created,
            expires: row.message.expires,
            progress: row.progress,
        };
        retry::after(&self.ports.policy, &case, failure, self.now(), rand::random())
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

fn weigh(error: SendError) -> (&'static str, Failure) {
    match error {
        SendError::Transient { retry_after, .. } => ("transient", Failure::Transient(retry_after)),
        SendError::Permanent(reason) => ("permanent", Failure::Permanent(reason)),
        SendError::ProviderFault(_) => ("provider_fault", Failure::ProviderFault),
        SendError::Unconfirmed(_) => ("unconfirmed", Failure::Unconfirmed),
        SendError::Unanswered(_) => ("unanswered", Failure::Unanswered),
    }
}

/// One log line a delivery; of the recipient only as much as tells messages apart.
fn report(row: &Leased, next: &Next, attempt: Option<&Attempt>) {
    let (message_id, kind, to) = (row.id.0, row.message.kind.as_str(), row.message.to.masked());
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
