//! Sends each call to the primary of its slot, and again where a cluster redirects it. A call that is redirected has not
//! run, so it may be repeated.

use super::super::StoreResult;
use super::pool::{Asking, late};
use super::redirection::Redirection;
use super::scripts::Call;
use super::shard::Shard;
use super::slot::Slot;
use super::{RedisTokenStore, cluster};
use crate::error::StoreError;
use redis::{Cmd, FromRedisValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Before a call is repeated that could not be redirected: keys of one script are on their way to another primary, or the
/// nodes do not yet agree who has the slot.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

impl RedisTokenStore {
    /// Runs a script on the primary that has its keys.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &Call<'_>) -> StoreResult<T> {
        let mut route = Route::to(self, script.slot())?;
        loop {
            match route.within(route.shard.pool.run(script, route.asking)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => route.follow(error).await?,
            }
        }
    }

    /// Runs a script where its keys are, and tells whether its change is confirmed.
    pub(super) async fn run_confirmed<T: FromRedisValue>(&self, script: &Call<'_>) -> StoreResult<(T, bool)> {
        let mut route = Route::to(self, script.slot())?;
        loop {
            match route.within(route.shard.pool.run_confirmed(script, route.asking)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => route.follow(error).await?,
            }
        }
    }

    /// Runs a command on the primary that has the slot of its keys.
    pub(super) async fn command<T: FromRedisValue>(&self, slot: Slot, command: &Cmd) -> StoreResult<T> {
        let mut route = Route::to(self, slot)?;
        loop {
            match route.within(route.shard.pool.command(command, route.asking)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => route.follow(error).await?,
            }
        }
    }
}

/// Where a call goes next.
struct Route<'a> {
    store: &'a RedisTokenStore,
    slot: Slot,
    shard: Arc<Shard>,
    asking: Asking,
    ends: Instant,
    /// None until it is redirected.
    pause: Option<Duration>,
}

impl<'a> Route<'a> {
    /// To the primary that has this slot.
    fn to(store: &'a RedisTokenStore, slot: Slot) -> StoreResult<Self> {
        let (shard, ends) = (store.shard(slot)?, Instant::now() + store.0.settings.timeout);
        Ok(Self { store, slot, shard, asking: Asking::No, ends, pause: None })
    }

    /// Awaits a call, which has a time-out of its own. All calls of a route end within the time-out of one.
    async fn within<T>(&self, call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        match self.pause {
            None => call.await,
            Some(_) => timeout_at(self.ends, call).await.unwrap_or_else(|_| Err(late(self.store.0.settings.timeout))),
        }
    }

    /// Leads where this error redirects to. The call may be repeated then.
    ///
    /// # Errors
    /// The error itself, if it is no redirection; the time is over; nobody has the slot.
    async fn follow(&mut self, error: StoreError) -> StoreResult<()> {
        let redirection = Redirection::behind(&error).ok_or(error)?;
        let pause = self.pause.replace(PAUSE).unwrap_or_default();
        let turn = async {
            match redirection {
                Redirection::Ask(address) => {
                    let node = cluster::node(self.store, &self.shard, &address)?;
                    return Ok((node, Asking::Yes));
                }
                Redirection::Moved => {
                    sleep(pause).await;
                    cluster::renew(self.store, Instant::now()).await;
                }
                Redirection::TryAgain => sleep(PAUSE).await,
                Redirection::Replaced => sleep(pause).await,
            }
            Ok((self.store.shard(self.slot)?, Asking::No))
        };
        let turn = timeout_at(self.ends, turn).await.unwrap_or_else(|_| Err(late(self.store.0.settings.timeout)));
        (self.shard, self.asking) = turn?;
        Ok(())
    }
}
