//! Counters that all nodes share: one short string for each.

use super::super::{Backoff, LimitStore, Rate, StoreResult, Verdict};
use super::challenges::{millis, pause};
use super::{RedisTokenStore, scripts};
use crate::domain::Digest;
use async_trait::async_trait;

fn key(scope: &str, subject: Digest) -> String {
    format!("pc:limit:{scope}:{}", subject.to_text())
}

/// Scripts return the milliseconds to wait, or nil.
fn verdict(wait: Option<i64>) -> Verdict {
    wait.map_or(Verdict::Allowed, |wait| Verdict::Refused(pause(wait)))
}

impl RedisTokenStore {
    async fn rate(&self, scope: &str, subject: Digest, rate: Rate, mode: &str) -> StoreResult<Verdict> {
        let mut call = scripts::RATE.prepare_invoke();
        call.key(key(scope, subject)).arg(self.offset()).arg(rate.limit).arg(millis(rate.window)).arg(mode);
        self.run(&call).await.map(verdict)
    }
}

#[async_trait]
impl LimitStore for RedisTokenStore {
    async fn charge(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        self.rate(scope, subject, rate, "charge").await
    }

    async fn peek(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        self.rate(scope, subject, rate, "peek").await
    }

    async fn refund(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        let mut call = scripts::REFUND.prepare_invoke();
        call.key(key(scope, subject)).arg(self.offset());
        self.run(&call).await
    }

    async fn charge_backoff(&self, scope: &'static str, subject: Digest, backoff: Backoff) -> StoreResult<Verdict> {
        let mut call = scripts::BACKOFF.prepare_invoke();
        call.key(key(scope, subject)).arg(self.offset()).arg(backoff.free);
        call.arg(millis(backoff.first)).arg(millis(backoff.longest)).arg(millis(backoff.forget)).arg(backoff.max_tries);
        self.run(&call).await.map(verdict)
    }

    async fn clear(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        self.0.pool.command(redis::cmd("DEL").arg(key(scope, subject))).await
    }
}
