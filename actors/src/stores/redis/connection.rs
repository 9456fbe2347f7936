//! Maintains the tracked connection of a worker: connects, prepares, and checks regularly that Redis still answers and
//! is still the primary.

use super::pool::{connection_config, late};
use super::tracked_cache::{TrackedCache, TrackedConnection};
use super::{RedisTokenStore, role};
use crate::error::StoreError;
use redis::{PushInfo, PushKind, RedisError, RedisResult, cmd};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// Between two health checks. Together with the time-out of one it is well below a second.
const CHECK_EVERY: Duration = Duration::from_millis(400);

/// Between two attempts to connect.
const RETRY_AFTER: Duration = Duration::from_millis(100);

enum Health {
    Alive,
    /// No answer in time. Redis stalls, or the connection is dead and was not closed.
    Late,
    Gone,
}

/// Runs until the worker drops its cache.
pub(super) async fn maintain(store: RedisTokenStore, cache: Weak<TrackedCache>) {
    let mut serving: Option<(TrackedConnection, Arc<Notify>)> = None;
    let mut warned = false;
    for number in 1.. {
        // A healthy connection stays in this loop.
        while let Some((connection, ended)) = &mut serving {
            let _ = timeout(CHECK_EVERY, ended.notified()).await;
            let Some(cache) = cache.upgrade() else { return };
            match check_health(&store, &cache, connection).await {
                Health::Alive => {}
                Health::Late => break,
                Health::Gone => {
                    cache.stop_serving(connection.number);
                    serving = None;
                    store.0.pool.close_connections();
                }
            }
        }
        let Some(cache) = cache.upgrade() else { return };
        let began = Instant::now();
        let failure = match timeout(store.0.timeout, connect(&store, &cache, number)).await {
            // A Redis that stalls still invalidates when it continues. So the cache stays valid, and the old connection too.
            Err(_) => late(store.0.timeout),
            Ok(Err(error)) if error.is_timeout() => late(store.0.timeout),
            // An answer, even a refusal, shows that the old connection was dead.
            Ok(outcome) => {
                if let Some((dead, _)) = serving.take() {
                    cache.stop_serving(dead.number);
                }
                match outcome {
                    Err(error) => {
                        store.0.pool.close_connections();
                        StoreError::token_store(error)
                    }
                    Ok(fresh) => match store.prepare(began).await {
                        Err(error) => error,
                        Ok(()) => {
                            cache.serve(fresh.0.clone());
                            serving = Some(fresh);
                            warned = false;
                            tracing::info!("checks are served over a new connection to Redis");
                            continue;
                        }
                    },
                }
            }
        };
        if !std::mem::replace(&mut warned, true) {
            tracing::warn!(error = %failure, "no connection to Redis for checks; retrying");
        }
        drop(cache);
        if serving.is_none() {
            sleep(RETRY_AFTER).await;
        }
    }
}

/// A new tracked connection, and a notification of its end.
async fn connect(
    store: &RedisTokenStore,
    cache: &Arc<TrackedCache>,
    number: u64,
) -> RedisResult<(TrackedConnection, Arc<Notify>)> {
    let ended = Arc::new(Notify::new());
    let (receiver, end) = (Arc::downgrade(cache), ended.clone());
    let receive = move |push: PushInfo| {
        if let Some(cache) = receiver.upgrade() {
            cache.receive(number, &push);
        }
        if push.kind == PushKind::Disconnection {
            end.notify_one();
        }
        Ok::<(), ()>(())
    };
    let config = connection_config(store.0.timeout).set_push_sender(receive);
    let mut connection = store.0.client.get_multiplexed_async_connection_with_config(&config).await?;
    cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
    let mut connection = TrackedConnection { number, connection };
    examine(store, cache, &mut connection).await?;
    Ok((connection, ended))
}

async fn check_health(store: &RedisTokenStore, cache: &TrackedCache, connection: &mut TrackedConnection) -> Health {
    match timeout(store.0.timeout, examine(store, cache, connection)).await {
        Ok(Ok(())) => Health::Alive,
        Ok(Err(error)) if error.is_timeout() => Health::Late,
        Err(_) => Health::Late,
        Ok(Err(_)) => Health::Gone,
    }
}

/// Checks that Redis answers and is a primary, and reads its clock, by which sessions expire.
async fn examine(
    store: &RedisTokenStore,
    cache: &TrackedCache,
    connection: &mut TrackedConnection,
) -> Result<(), RedisError> {
    store.0.pool.replicas.note(role::replicas(cmd("ROLE").query_async(&mut connection.connection).await)?);
    let (secs, micros): (i64, i64) = cmd("TIME").query_async(&mut connection.connection).await?;
    let ours = store.0.clock.now().millis() - store.0.clock.offset_millis();
    cache.set_clock_skew(secs * 1000 + micros / 1000 - ours);
    Ok(())
}
