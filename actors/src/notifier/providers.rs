//! The providers of each channel with their circuit breakers: chooses one, sends, and records the result.

use super::breaker::{Breaker, BreakerState};
use super::compose::Composed;
use super::messages::{Counts, ProviderSnapshot};
use super::policy::DeliveryPolicy;
use super::tally::{Ends, Tally};
use crate::clock::{Clock, Timestamp};
use crate::stores::{Channel, ReportEffect, Settlement};
use crate::trace;
use crate::transports::{Accepted, DeliveryReport, Mail, ReportStatus, SendError, Sms, Transport, Transports};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Provider<M> {
    transport: Arc<dyn Transport<M>>,
    breaker: Breaker,
    tally: Tally,
}

/// All providers of this node, in the order in which they are tried. Shared by the loop, the deliveries and the reports.
pub(super) struct Providers {
    mail: Vec<Provider<Mail>>,
    sms: Vec<Provider<Sms>>,
    /// Of messages that no provider was tried with.
    untried: Ends,
    clock: Arc<dyn Clock>,
}

pub(super) struct Try {
    pub(super) provider: u32,
    pub(super) name: String,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    pub(super) result: Result<Accepted, SendError>,
}

impl Providers {
    pub(super) fn new(transports: Transports, policy: &DeliveryPolicy, clock: Arc<dyn Clock>) -> Self {
        let Transports { mail, sms } = transports;
        Self { mail: with_breakers(mail, policy), sms: with_breakers(sms, policy), untried: Ends::default(), clock }
    }

    fn breakers(&self, channel: Channel) -> Vec<(&str, BreakerState)> {
        let now = self.clock.now();
        match channel {
            Channel::Mail => self.mail.iter().map(|provider| provider.state(now)).collect(),
            Channel::Sms => self.sms.iter().map(|provider| provider.state(now)).collect(),
        }
    }

    /// The state of every provider.
    pub(super) fn observe(&self) -> Vec<ProviderSnapshot> {
        let now = self.clock.now();
        let mail = self.mail.iter().map(|provider| provider.observe(Channel::Mail, now));
        mail.chain(self.sms.iter().map(|provider| provider.observe(Channel::Sms, now))).collect()
    }

    /// What became of the messages that no provider was tried with.
    pub(super) fn observe_untried(&self) -> Counts {
        self.untried.read()
    }

    /// Counts the end of a delivery.
    pub(super) fn ended(&self, channel: Channel, settlement: &Settlement) {
        let tally = settlement.attempt.as_ref().and_then(|attempt| self.tally(channel, &attempt.provider));
        tally.map_or(&self.untried, |tally| &tally.ends).ended(&settlement.next);
    }

    /// Counts messages that were too late for a delivery.
    pub(super) fn expired(&self, count: u64) {
        self.untried.expired(count);
    }

    /// Counts a report by what it changed. A repeated one counts nothing.
    pub(super) fn reported(&self, provider: &str, status: ReportStatus, effect: ReportEffect) {
        let is_first = matches!(effect, ReportEffect::Recorded | ReportEffect::Requeued | ReportEffect::Dead);
        if let Some(tally) = self.tally(Channel::Sms, provider).filter(|_| is_first) {
            tally.reported(status, effect == ReportEffect::Dead);
        }
    }

    fn tally(&self, channel: Channel, name: &str) -> Option<&Tally> {
        match channel {
            Channel::Mail => tally_of(&self.mail, name),
            Channel::Sms => tally_of(&self.sms, name),
        }
    }

    /// The number of providers of a channel.
    pub(super) fn count(&self, channel: Channel) -> u32 {
        u32::try_from(self.breakers(channel).len()).unwrap_or(u32::MAX)
    }

    /// The number of messages that the providers admit now: none while all breakers are open, one for a half-open one.
    pub(super) fn admissible(&self, channel: Channel) -> usize {
        let breakers = self.breakers(channel);
        let any = |wanted| breakers.iter().any(|(_, state)| *state == wanted);
        if any(BreakerState::Closed) { usize::MAX } else { usize::from(any(BreakerState::HalfOpen)) }
    }

    /// Sends with the preferred provider, or with the next one whose breaker admits the message. `None` if no breaker
    /// does.
    pub(super) async fn send(&self, message: &Composed, preferred: u32, time_out: Duration) -> Option<Try> {
        match message {
            Composed::Mail(mail) => self.send_with(&self.mail, mail, preferred, time_out).await,
            Composed::Sms(sms) => self.send_with(&self.sms, sms, preferred, time_out).await,
        }
    }

    async fn send_with<M: Sync>(
        &self,
        providers: &[Provider<M>],
        message: &M,
        preferred: u32,
        time_out: Duration,
    ) -> Option<Try> {
        let (at, count) = (self.clock.now(), providers.len());
        let index = (0..count)
            .map(|step| (preferred as usize + step) % count)
            .find(|index| providers[*index].breaker.admit(at, time_out))?;
        let provider = &providers[index];
        let began = Instant::now();
        let span = trace::span(|| trace::sending(provider.transport.name()));
        let sent = AssertUnwindSafe(provider.transport.send(message)).catch_unwind().await;
        // As far as is known, only this message makes it panic.
        let panicked = |_| Err(SendError::Transient { retry_after: None, text: "the transport panicked".to_owned() });
        let result = span.end(sent.unwrap_or_else(panicked));
        let took = began.elapsed();
        provider.note(result.as_ref().err(), took, self.clock.now());
        Some(Try {
            provider: u32::try_from(index).unwrap_or(0),
            name: provider.transport.name().to_owned(),
            at,
            took,
            result,
        })
    }

    /// The names of all SMS providers.
    pub(super) fn sms_names(&self) -> Vec<&str> {
        self.sms.iter().map(|provider| provider.transport.name()).collect()
    }

    /// Reads a delivery report of an SMS provider; `None` if there is no such provider or the signature is not valid.
    pub(super) fn read_report(
        &self,
        provider: &str,
        signature: &str,
        params: &[(String, String)],
    ) -> Option<DeliveryReport> {
        let provider = self.sms.iter().find(|known| known.transport.name() == provider)?;
        provider.transport.read_report(signature, params)
    }

    /// Closes the connections of all providers.
    pub(super) async fn close(&self) {
        let mail = self.mail.iter().map(|provider| provider.transport.close());
        let sms = self.sms.iter().map(|provider| provider.transport.close());
        futures_util::future::join_all(mail.chain(sms)).await;
    }
}

fn with_breakers<M>(transports: Vec<Arc<dyn Transport<M>>>, policy: &DeliveryPolicy) -> Vec<Provider<M>> {
    let rest = Duration::from_secs(policy.breaker_rest_secs);
    let provider = |transport| {
        let (breaker, tally) = (Breaker::new(policy.breaker_failures, rest), Tally::default());
        Provider { transport, breaker, tally }
    };
    transports.into_iter().map(provider).collect()
}

fn tally_of<'p, M>(providers: &'p [Provider<M>], name: &str) -> Option<&'p Tally> {
    providers.iter().find(|provider| provider.transport.name() == name).map(|provider| &provider.tally)
}

impl<M> Provider<M> {
    fn state(&self, now: Timestamp) -> (&str, BreakerState) {
        (self.transport.name(), self.breaker.state(now))
    }

    fn observe(&self, channel: Channel, now: Timestamp) -> ProviderSnapshot {
        let (name, breaker) = (self.transport.name().to_owned(), self.breaker.state(now));
        let (tries, ends, reports) = self.tally.read();
        ProviderSnapshot { channel, name, breaker, tries, ends, reports }
    }

    /// Counts a try, and reports its end to the breaker.
    fn note(&self, error: Option<&SendError>, took: Duration, now: Timestamp) {
        self.tally.tried(error, took);
        match error {
            Some(error) if error.is_of_provider() => {
                if self.breaker.failed(now) {
                    tracing::warn!(provider = self.transport.name(), reason = %error, "a provider's breaker opens");
                }
            }
            _ => self.breaker.succeeded(),
        }
    }
}
