//! Keeps a worker's tracked connection: connects, lets the fence pass, listens for its end, and asks twice a second
//! whether Redis is still there, and still the primary.

use super::pool::{connection_config, late};
use super::tracked::{Tracked, TrackedConnection};
use super::{RedisTokenStore, role};
use crate::error::StoreError;
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
    let mut serving: Option<(TrackedConnection, Arc<Notify>)> = None;
    let mut complained = false;
    for number in 1.. {
        // While a connection beats, this is where time is spent.
        while let Some((line, ended)) = &mut serving {
            let _ = timeout(PULSE, ended.notified()).await;
            let Some(tracked) = tracked.upgrade() else { return };
            match beat(&store, &tracked, line).await {
                Pulse::Beats => {}
                Pulse::Late => break,
                Pulse::Gone => {
                    tracked.lower(line.number);
                    serving = None;
                    store.0.calls.let_go();
                }
            }
        }
        let Some(tracked) = tracked.upgrade() else { return };
        let began = Instant::now();
        let complaint = match timeout(store.0.timeout, connect(&store, &tracked, number)).await {
            // A Redis that stalls keeps its word when it goes on, so what is known stays known.
            Err(_) => late(store.0.timeout),
            Ok(Err(error)) if error.is_timeout() => late(store.0.timeout),
            // A new connection that is answered or refused shows that the old one was dead.
            Ok(outcome) => {
                if let Some((dead, _)) = serving.take() {
                    tracked.lower(dead.number);
                }
                match outcome {
                    Err(error) => {
                        store.0.calls.let_go();
                        StoreError::token_store(error)
                    }
                    Ok(fresh) => match store.0.fence.pass(&store, began).await {
                        Err(error) => error,
                        Ok(()) => {
                            tracked.raise(fresh.0.clone());
                            serving = Some(fresh);
                            complained = false;
                            tracing::info!("the connection for checks serves");
                            continue;
                        }
                    },
                }
            }
        };
        if !std::mem::replace(&mut complained, true) {
            tracing::warn!(error = %complaint, "no connection for checks; trying on");
        }
        drop(tracked);
        if serving.is_none() {
            sleep(RETRY).await;
        }
    }
}

/// A new connection on which Redis tracks what is read, and what tells of its end.
async fn connect(
    store: &RedisTokenStore,
    tracked: &Arc<Tracked>,
    number: u64,
) -> RedisResult<(TrackedConnection, Arc<Notify>)> {
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
    let mut line = TrackedConnection { number, connection };
    look(store, tracked, &mut line).await?;
    Ok((line, ended))
}

async fn beat(store: &RedisTokenStore, tracked: &Tracked, line: &mut TrackedConnection) -> Pulse {
    match timeout(store.0.timeout, look(store, tracked, line)).await {
        Ok(Ok(())) => Pulse::Beats,
        Ok(Err(error)) if error.is_timeout() => Pulse::Late,
        Err(_) => Pulse::Late,
        Ok(Err(_)) => Pulse::Gone,
    }
}

/// Whether Redis is there and a primary, and what time it is there: sessions end by its clock.
async fn look(store: &RedisTokenStore, tracked: &Tracked, line: &mut TrackedConnection) -> Result<(), RedisError> {
    role::demand_primary(&mut line.connection).await?;
    let (secs, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut line.connection).await?;
    let ours = store.0.clock.now().millis() - store.0.clock.offset_millis();
    tracked.set_skew(secs * 1000 + micros / 1000 - ours);
    Ok(())
}
