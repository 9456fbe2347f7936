//! The connection over which the checks of this process are read from a primary, and on which Redis tells which sessions
//! have changed (client-side caching in broadcast mode).
//!
//! In broadcast mode Redis keeps no table of who has read what: it tells every process of every change. Measured on Redis 7
//! with a million users (185 MiB of sessions): 40 connections take 1.5 MiB in broadcast mode; without it, 8 connections that
//! have read all users take 468 MiB more. A change costs Redis 11 µs with 40 connections and 3 µs with 3, against 2 µs without
//! broadcast if only one process has read the session, and 22 µs if all 40 have. So broadcast is dearer for a fleet whose
//! users always reach the same node, but its cost has a bound, and it is little beside the hash of the password.
//!
//! The connection is kept healthy here: a task connects, prepares, and checks regularly that Redis still answers and is
//! still a primary.

use super::super::StoreResult;
use super::pool::{connection_config, late};
use super::shard::{Shard, TrackedConnection};
use super::{Inner, Lost, RedisTokenStore, role, start};
use crate::error::StoreError;
use redis::{PushInfo, PushKind, RedisError, RedisResult};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

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

/// Runs until the store or the shard is dropped.
pub(super) async fn maintain(store: Weak<Inner>, shard: Weak<Shard>) {
    let mut serving: Option<(TrackedConnection, Arc<Notify>)> = None;
    let mut warned = false;
    for number in 1.. {
        // A healthy connection stays in this loop.
        while let Some((connection, ended)) = &mut serving {
            let _ = timeout(CHECK_EVERY, ended.notified()).await;
            let Some((store, shard)) = alive(&store, &shard) else { return };
            match check_health(&store, &shard, connection).await {
                Health::Alive => {}
                Health::Late => break,
                Health::Gone => {
                    store.stop_serving(&shard, connection.number);
                    serving = None;
                    shard.pool.close_connections();
                }
            }
        }
        let Some((store, shard)) = alive(&store, &shard) else { return };
        let failure = match timeout(store.0.settings.timeout, connect(&store, &shard, number)).await {
            // A Redis that stalls still tells of changes when it continues. So the caches stay valid, and the old connection too.
            Err(_) => late(store.0.settings.timeout),
            Ok(Err(error)) if error.is_timeout() => late(store.0.settings.timeout),
            // An answer, even a refusal, shows that the old connection was dead.
            Ok(outcome) => {
                if let Some((dead, _)) = serving.take() {
                    store.stop_serving(&shard, dead.number);
                }
                match outcome {
                    Err(error) => {
                        shard.pool.close_connections();
                        StoreError::token_store(error)
                    }
                    Ok((fresh, history)) => match prepare(&store, &shard, history).await {
                        Err(error) => error,
                        Ok(()) => {
                            shard.serve(fresh.0.clone());
                            serving = Some(fresh);
                            warned = false;
                            tracing::info!(redis = %shard.at, "checks are served over a new connection to Redis");
                            continue;
                        }
                    },
                }
            }
        };
        if !std::mem::replace(&mut warned, true) {
            tracing::warn!(redis = %shard.at, error = %failure, "no connection to Redis for checks; retrying");
        }
        drop((store, shard));
        if serving.is_none() {
            sleep(RETRY_AFTER).await;
        }
    }
}

/// Applies what this primary does not know.
async fn prepare(store: &RedisTokenStore, shard: &Arc<Shard>, history: Option<String>) -> StoreResult<()> {
    let is_known = history.is_some() && shard.prepared() == history;
    let lost = if is_known { Lost::Nothing } else { Lost::Unknown };
    (store.0.before_serving)(store.clone(), store.users_of(shard), lost).await?;
    shard.set_prepared(history);
    Ok(())
}

fn alive(store: &Weak<Inner>, shard: &Weak<Shard>) -> Option<(RedisTokenStore, Arc<Shard>)> {
    Some((RedisTokenStore(store.upgrade()?), shard.upgrade()?))
}

/// A new tracked connection with a notification of its end, and the history of the primary.
async fn connect(
    store: &RedisTokenStore,
    shard: &Arc<Shard>,
    number: u64,
) -> RedisResult<((TrackedConnection, Arc<Notify>), Option<String>)> {
    let ended = Arc::new(Notify::new());
    let (receiver, holder, end) = (Arc::downgrade(&store.0), Arc::downgrade(shard), ended.clone());
    let receive = move |push: PushInfo| {
        if let Some((store, shard)) = alive(&receiver, &holder) {
            receive(&store, &shard, number, &push);
        }
        if push.kind == PushKind::Disconnection {
            end.notify_one();
        }
        Ok::<(), ()>(())
    };
    let config = connection_config(store.0.settings.timeout).set_push_sender(receive);
    let mut connection = shard.client.get_multiplexed_async_connection_with_config(&config).await?;
    start::tracking().exec_async(&mut connection).await?;
    let history = role::history(&mut connection).await?;
    let mut connection = TrackedConnection { number, connection };
    examine(store, shard, &mut connection).await?;
    Ok(((connection, ended), history))
}

/// Handles what Redis pushes on a connection, and the driver's message about its end. Called in the order of arrival: a
/// change is handled before any reply that comes after it.
fn receive(store: &RedisTokenStore, shard: &Arc<Shard>, number: u64, push: &PushInfo) {
    match push.kind {
        PushKind::Invalidate if !store.0.caches.invalidate(push) => store.forget_users_of(shard),
        PushKind::Disconnection => store.stop_serving(shard, number),
        _ => {}
    }
}

async fn check_health(store: &RedisTokenStore, shard: &Shard, connection: &mut TrackedConnection) -> Health {
    match timeout(store.0.settings.timeout, examine(store, shard, connection)).await {
        Ok(Ok(())) => Health::Alive,
        Ok(Err(error)) if error.is_timeout() => Health::Late,
        Err(_) => Health::Late,
        Ok(Err(_)) => Health::Gone,
    }
}

/// Checks that Redis answers and is a primary, and reads its clock, by which sessions expire.
async fn examine(store: &RedisTokenStore, shard: &Shard, connection: &mut TrackedConnection) -> Result<(), RedisError> {
    shard.pool.replicas.note(role::replicas(redis::cmd("ROLE").query_async(&mut connection.connection).await)?);
    if store.0.settings.servers.is_cluster() {
        role::ensure_in_cluster(&mut connection.connection).await?;
    }
    let (secs, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut connection.connection).await?;
    let ours = store.0.clock.now().millis() - store.0.clock.offset_millis();
    shard.set_clock_skew(secs * 1000 + micros / 1000 - ours);
    store.note_clock_skew();
    Ok(())
}
