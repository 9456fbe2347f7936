//! Keeps a worker's tracked connection: connects, lets the fence pass, listens for its end, and asks twice a second
//! whether Redis is still there.

use super::RedisTokenStore;
use super::calls::connection_config;
use super::tracked::{Line, Tracked};
use crate::clock::Timestamp;
use redis::{PushInfo, PushKind, RedisError, RedisResult};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// Between two questions whether Redis is there: with the time-out of an answer, well below a second.
const PULSE: Duration = Duration::from_millis(400);

/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(100);

/// How a look at the connection ended.
enum Pulse {
    Beats,
    /// No answer in time: Redis stalls, or the connection is dead without anybody having said so.
    Late,
    Gone,
}

/// Runs until the worker is dropped.
pub(super) async fn keep(store: RedisTokenStore, tracked: Weak<Tracked>) {
    let mut serving: Option<(Line, Arc<Notify>)> = None;
    for number in 1.. {
        // While a connection beats, this is where time is spent.
        while let Some((line, ended)) = &mut serving {
            let _ = timeout(PULSE, ended.notified()).await;
            let Some(tracked) = tracked.upgrade() else { return };
            match beat(&store, &tracked, line).await {
                Pulse::Beats => {}
                // A stalled Redis keeps its word when it goes on, so what is known stays; but if a new connection is
                // answered, the old one was dead.
                Pulse::Late => break,
                Pulse::Gone => {
                    tracked.lower(line.number);
                    serving = None;
                }
            }
        }
        let Some(strong) = tracked.upgrade() else { return };
        let began = Instant::now();
        match timeout(store.0.timeout, connect(&store, &strong, number)).await {
            Ok(Ok(fresh)) => {
                if let Some((old, _)) = serving.take() {
                    strong.lower(old.number);
                }
                match store.0.fence.pass(&store, began).await {
                    Ok(()) => {
                        strong.raise(fresh.0.clone());
                        tracing::info!("a connection for checks serves");
                        serving = Some(fresh);
                    }
                    Err(error) => tracing::warn!(%error, "revocations could not be applied again: no checks yet"),
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "no connection for checks"),
            Err(_) => tracing::warn!("no connection for checks: Redis does not answer"),
        }
        drop(strong);
        if serving.is_none() {
            sleep(RETRY).await;
        }
    }
}

/// A new connection on which Redis tracks what is read, and what tells of its end.
async fn connect(store: &RedisTokenStore, tracked: &Arc<Tracked>, number: u64) -> RedisResult<(Line, Arc<Notify>)> {
    let ended = Arc::new(Notify::new());
    let (listener, end) = (Arc::downgrade(tracked), ended.clone());
    let hear = move |push: PushInfo| {
        if let Some(tracked) = listener.upgrade() {
            tracked.hear(number, &push);
        }
        if push.kind == PushKind::Disconnection {
            end.notify_one();
        }
        Ok::<(), ()>(())
    };
    let config = connection_config(store.0.timeout).set_push_sender(hear);
    let mut connection = store.0.client.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
    let mut line = Line { number, connection };
    ask_time(store, tracked, &mut line).await?;
    Ok((line, ended))
}

async fn beat(store: &RedisTokenStore, tracked: &Tracked, line: &mut Line) -> Pulse {
    match timeout(store.0.timeout, ask_time(store, tracked, line)).await {
        Ok(Ok(())) => Pulse::Beats,
        Ok(Err(error)) if error.is_timeout() => Pulse::Late,
        Err(_) => Pulse::Late,
        Ok(Err(_)) => Pulse::Gone,
    }
}

/// The question whether Redis is there is the one what time it is there: sessions end by its clock.
async fn ask_time(store: &RedisTokenStore, tracked: &Tracked, line: &mut Line) -> Result<(), RedisError> {
    let (secs, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut line.connection).await?;
    let theirs = Timestamp::from_millis(secs * 1000 + micros / 1000);
    let ours = store.0.clock.now().millis() - store.0.clock.offset_millis();
    tracked.set_skew(theirs.millis() - ours);
    Ok(())
}
