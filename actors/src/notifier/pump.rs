//! The loop: wakes when something is queued or a place becomes free, and looks anyway once in a while. It never ends
//! for an error: a store that does not answer is asked again.

use super::engine::Engine;
use super::outbox::Channel;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often what is long settled is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Runs until the engine stops.
pub(super) async fn pump(engine: Arc<Engine>) {
    let poll = Duration::from_millis(engine.ports.policy.poll_ms);
    let (mut expired_at, mut forgotten_at) = (None::<Instant>, None::<Instant>);
    while !engine.stopping.is_cancelled() {
        if is_due(expired_at, poll) {
            expired_at = Some(Instant::now());
            log_failure(engine.ports.outbox.expire().await.map(drop));
        }
        if is_due(forgotten_at, FORGET_EVERY) {
            forgotten_at = Some(Instant::now());
            let age = Duration::from_secs(engine.ports.policy.keep_days * 86_400);
            log_failure(engine.ports.outbox.forget(age).await.map(drop));
        }
        let mut begun = 0;
        for channel in [Channel::Mail, Channel::Sms] {
            match engine.begin(channel).await {
                Ok(count) => begun += count,
                Err(error) => log_failure(Err(error)),
            }
        }
        if begun == 0 {
            tokio::select! {
                () = engine.bell.notified() => {}
                () = engine.stopping.cancelled() => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

fn log_failure(outcome: crate::stores::StoreResult<()>) {
    if let Err(error) = outcome {
        tracing::warn!(error = %error.source, "the outbox could not be read");
    }
}
