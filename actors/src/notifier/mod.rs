//! Deliveries: mail and SMS leave through an outbox that loses nothing.
//!
//! ```text
//! queued row ──▶ loop: lease ──▶ delivery: compose ──▶ provider ──▶ retry: what next? ──▶ loop: hand in
//!     ▲          (wake, pulse)    (derives the secret)  (breaker)    (pure)                (one commit for many)
//!     └────────────────────────────── Retry, Release, a lapsed lease ─────────────────────────────┘
//! ```
//!
//! The guarantee is *at least once, and almost always exactly once*. A row is settled after the provider has accepted
//! the message. A crash in between repeats the running deliveries, under the same `Message-ID` and with the same code.

mod breaker;
mod compose;
mod delivery;
mod delivery_loop;
mod messages;
mod policy;
mod providers;
mod reports;
mod retry;
mod segment;
mod tally;
mod templates;

pub use breaker::BreakerState;
pub use messages::{
    BacklogSnapshot, Counts, DeliverDue, Drain, NotifierSnapshot, Observe, ProviderSnapshot, RecordReport,
    ReportRefusal, Wake,
};
pub use policy::{ChannelPolicy, DeliveryPolicy};

use crate::clock::Clock;
use crate::derive::{Keyring, PhoneCodes};
use crate::error::ErrorKind;
use crate::flows::Traced;
use crate::stores::{Backlog, Channel, OutboxStore, Pulses, ReportEffect};
use crate::trace::TraceSource;
use crate::transports::Transports;
use actix::{Actor, AsyncContext as _, Context, Handler, ResponseFuture, WrapFuture as _};
use delivery_loop::{DeliveryLoop, LoopHandle};
use providers::Providers;
use reports::Reports;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long [`Observe`] waits for the database.
const STATS_TIME_OUT: Duration = Duration::from_millis(500);

/// The dependencies of the notifier.
#[derive(Clone)]
pub struct NotifierPorts {
    pub outbox: Arc<dyn OutboxStore>,
    /// They tell of messages that other nodes queued, and of those that are due again.
    pub pulses: Pulses,
    /// Derives codes and links.
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
    pub transports: Transports,
    pub policy: DeliveryPolicy,
    pub codes: Arc<PhoneCodes>,
    /// The address of this server for users.
    pub public_url: String,
    /// Begins the spans of deliveries; `None` if nothing is traced.
    pub traces: Option<TraceSource>,
}

/// Delivers the messages in the outbox; one in each process.
pub struct NotifierActor {
    outbox: Arc<dyn OutboxStore>,
    clock: Arc<dyn Clock>,
    providers: Arc<Providers>,
    control: LoopHandle,
    stepwise: bool,
    /// Until the actor starts; then the loop is a task of its own, which ends with the actor.
    delivery_loop: Option<DeliveryLoop>,
}

impl NotifierActor {
    /// A notifier that delivers from its start on.
    pub fn new(ports: NotifierPorts) -> Self {
        Self::with_mode(ports, false)
    }

    /// A notifier that delivers only at [`DeliverDue`]: for tests that go step by step.
    pub fn stepwise(ports: NotifierPorts) -> Self {
        Self::with_mode(ports, true)
    }

    fn with_mode(ports: NotifierPorts, stepwise: bool) -> Self {
        let providers = Providers::new(ports.transports.clone(), &ports.policy, Arc::clone(&ports.clock));
        let providers = Arc::new(providers);
        let (delivery_loop, control) = DeliveryLoop::new(&ports, Arc::clone(&providers));
        let NotifierPorts { outbox, clock, .. } = ports;
        Self { outbox, clock, providers, control, stepwise, delivery_loop: Some(delivery_loop) }
    }
}

impl Actor for NotifierActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match self.delivery_loop.take() {
            Some(delivery_loop) if self.stepwise => drop(ctx.spawn(delivery_loop.run_stepwise().into_actor(self))),
            Some(delivery_loop) => drop(ctx.spawn(delivery_loop.run().into_actor(self))),
            None => {}
        }
    }
}

impl Handler<Wake> for NotifierActor {
    type Result = ();

    fn handle(&mut self, _: Wake, _: &mut Self::Context) {
        self.control.wakeup.notify_one();
    }
}

impl Handler<DeliverDue> for NotifierActor {
    type Result = ResponseFuture<Result<usize, ErrorKind>>;

    fn handle(&mut self, _: DeliverDue, _: &mut Self::Context) -> Self::Result {
        let control = self.control.clone();
        Box::pin(async move { control.step().await.map_err(ErrorKind::from) })
    }
}

impl Handler<Drain> for NotifierActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) -> Self::Result {
        let (control, providers) = (self.control.clone(), Arc::clone(&self.providers));
        Box::pin(async move {
            control.drain(drain.within).await;
            providers.close().await;
        })
    }
}

impl Handler<Observe> for NotifierActor {
    type Result = ResponseFuture<NotifierSnapshot>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let (outbox, now) = (Arc::clone(&self.outbox), self.clock.now());
        let (running, providers) = (self.control.running(), self.providers.observe());
        let untried = self.providers.observe_untried();
        Box::pin(async move {
            // The counts of this node are shown whatever the database does.
            let stats = timeout(STATS_TIME_OUT, outbox.stats()).await.ok().and_then(Result::ok);
            let backlog = |(channel, backlog): &(Channel, Backlog)| BacklogSnapshot {
                channel: *channel,
                pending: backlog.pending,
                oldest_age: backlog.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest)),
            };
            NotifierSnapshot {
                backlogs: stats.iter().flat_map(|stats| stats.channels.iter().map(backlog)).collect(),
                pending: stats.as_ref().map(|stats| stats.pending),
                oldest_age: stats.as_ref().and_then(|stats| stats.oldest).map(|oldest| now.since(oldest)),
                dead_on_record: stats.as_ref().map(|stats| stats.dead),
                running,
                untried,
                providers,
            }
        })
    }
}

impl Handler<RecordReport> for NotifierActor {
    type Result = ResponseFuture<Result<ReportEffect, ReportRefusal>>;

    fn handle(&mut self, report: RecordReport, _: &mut Self::Context) -> Self::Result {
        let reports = Reports {
            providers: Arc::clone(&self.providers),
            outbox: Arc::clone(&self.outbox),
            wakeup: Arc::clone(&self.control.wakeup),
        };
        Box::pin(reports.record(report))
    }
}

impl Handler<Traced<RecordReport>> for NotifierActor {
    type Result = ResponseFuture<Result<ReportEffect, ReportRefusal>>;

    fn handle(&mut self, asked: Traced<RecordReport>, context: &mut Self::Context) -> Self::Result {
        let work = Handler::handle(self, asked.message, context);
        match asked.trace {
            None => work,
            Some(trace) => Box::pin(trace.around(work)),
        }
    }
}
