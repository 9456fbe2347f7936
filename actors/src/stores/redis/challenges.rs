//! Phone codes and reset links: one hash for each, one script for each change.

use super::super::{
    ChallengeStore, PhoneAnswer, PhoneChallenge, PhoneIssue, PhoneRequest, ResetChallenge, ResetRequest, StoreResult,
};
use super::{RedisTokenStore, phone_key, record, reset_key, scripts};
use crate::clock::Timestamp;
use crate::derive::KeyId;
use crate::domain::{AppId, Digest, Phone, UserId};
use async_trait::async_trait;
use redis::{FromRedisValue, Value, from_redis_value};
use std::time::Duration;

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn pause(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// The fields of a reply, read one after the other.
struct Fields(std::vec::IntoIter<Value>);

impl Fields {
    fn of(reply: Vec<Value>) -> Self {
        Self(reply.into_iter())
    }

    fn next<T: FromRedisValue>(&mut self) -> StoreResult<T> {
        self.0.next().and_then(|value| from_redis_value(value).ok()).ok_or_else(record::unreadable)
    }

    fn bytes(&mut self) -> StoreResult<[u8; 16]> {
        self.next::<Vec<u8>>()?.try_into().map_err(|_| record::unreadable())
    }

    fn digest(&mut self) -> StoreResult<Digest> {
        self.bytes().and_then(|bytes| Digest::from_slice(&bytes).ok_or_else(record::unreadable))
    }

    fn pause(&mut self) -> StoreResult<Duration> {
        self.next().map(pause)
    }

    fn time(&mut self) -> StoreResult<Timestamp> {
        self.next().map(Timestamp::from_millis)
    }

    fn number(&mut self) -> StoreResult<Phone> {
        Phone::from_stored(&self.next::<String>()?).ok_or_else(record::unreadable)
    }

    fn phone(&mut self) -> StoreResult<PhoneChallenge> {
        Ok(PhoneChallenge {
            id: self.bytes()?,
            key: KeyId(self.next()?),
            proof: self.digest()?,
            phone: self.number()?,
            expires: self.time()?,
            guesses: self.next()?,
            sends: self.next()?,
            last_sent: self.time()?,
            epoch: self.epoch()?,
        })
    }

    fn reset(&mut self) -> StoreResult<ResetChallenge> {
        Ok(ResetChallenge {
            id: self.bytes()?,
            key: KeyId(self.next()?),
            digest: self.digest()?,
            app: self.next::<Option<i64>>()?.map(AppId),
            expires: self.time()?,
            epoch: self.epoch()?,
        })
    }

    /// A challenge of a version that stored no epoch has the first one.
    fn epoch(&mut self) -> StoreResult<i64> {
        Ok(self.next::<Option<i64>>()?.unwrap_or(0))
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

impl RedisTokenStore {
    async fn take_reset(&self, user: UserId, digest: Digest, mode: &str) -> StoreResult<Option<ResetChallenge>> {
        let mut call = scripts::RESET_TAKE.prepare_invoke();
        call.key(reset_key(user)).arg(self.offset()).arg(digest.as_bytes().as_slice()).arg(mode);
        let reply: Option<Vec<Value>> = self.run(&call).await?;
        reply.map(|reply| Fields::of(reply).reset()).transpose()
    }
}

#[async_trait]
impl ChallengeStore for RedisTokenStore {
    async fn issue_phone(&self, ask: PhoneRequest) -> StoreResult<PhoneIssue> {
        let mut call = scripts::PHONE_ISSUE.prepare_invoke();
        call.key(phone_key(ask.user)).arg(self.offset()).arg(ask.phone.as_str());
        call.arg(ask.fresh_id.as_slice()).arg(ask.fresh_key.0).arg(ask.fresh_proof.as_bytes().as_slice());
        call.arg(millis(ask.life)).arg(millis(ask.renew_below)).arg(ask.guesses).arg(ask.epoch);
        for wait in ask.waits {
            call.arg(millis(wait));
        }
        let mut reply = Fields::of(self.run(&call).await?);
        match reply.next::<String>()?.as_str() {
            "send" => {
                let challenge = reply.phone()?;
                let before = if reply.is_empty() { None } else { Some(Box::new(reply.phone()?)) };
                Ok(PhoneIssue::Send { challenge, before })
            }
            "wait" => Ok(PhoneIssue::Wait(reply.pause()?)),
            "exhausted" => Ok(PhoneIssue::Exhausted(reply.pause()?)),
            _ => Err(record::unreadable()),
        }
    }

    async fn retract_phone(
        &self,
        user: UserId,
        sent: &PhoneChallenge,
        before: Option<&PhoneChallenge>,
    ) -> StoreResult<()> {
        let mut call = scripts::PHONE_RETRACT.prepare_invoke();
        call.key(phone_key(user)).arg(self.offset()).arg(sent.id.as_slice()).arg(sent.sends);
        if let Some(before) = before {
            call.arg(before.id.as_slice()).arg(before.key.0).arg(before.proof.as_bytes().as_slice());
            call.arg(before.phone.as_str()).arg(before.expires.millis());
            call.arg(before.sends).arg(before.last_sent.millis()).arg(before.epoch);
        }
        self.run(&call).await
    }

    async fn answer_phone(&self, user: UserId, proofs: &[Digest], guesses: u32) -> StoreResult<PhoneAnswer> {
        let mut call = scripts::PHONE_ANSWER.prepare_invoke();
        call.key(phone_key(user)).arg(self.offset()).arg(guesses);
        for proof in proofs {
            call.arg(proof.as_bytes().as_slice());
        }
        let mut reply = Fields::of(self.run(&call).await?);
        match reply.next::<String>()?.as_str() {
            "right" => Ok(PhoneAnswer::Right(reply.phone()?)),
            "wrong" => Ok(PhoneAnswer::Wrong(reply.number()?)),
            "exhausted" => Ok(PhoneAnswer::Exhausted(reply.pause()?)),
            "none" => Ok(PhoneAnswer::None),
            _ => Err(record::unreadable()),
        }
    }

    async fn restore_phone(&self, user: UserId, challenge: &PhoneChallenge) -> StoreResult<()> {
        let mut call = scripts::PHONE_RESTORE.prepare_invoke();
        call.key(phone_key(user)).arg(self.offset());
        call.arg(challenge.id.as_slice()).arg(challenge.key.0).arg(challenge.proof.as_bytes().as_slice());
        call.arg(challenge.phone.as_str()).arg(challenge.expires.millis()).arg(challenge.guesses.saturating_sub(1));
        call.arg(challenge.sends).arg(challenge.last_sent.millis()).arg(challenge.epoch);
        self.run(&call).await
    }

    async fn issue_reset(&self, ask: ResetRequest) -> StoreResult<ResetChallenge> {
        let mut call = scripts::RESET_ISSUE.prepare_invoke();
        call.key(reset_key(ask.user)).arg(self.offset());
        call.arg(ask.fresh_id.as_slice()).arg(ask.fresh_key.0).arg(ask.fresh_digest.as_bytes().as_slice());
        call.arg(millis(ask.life)).arg(ask.app.0).arg(ask.epoch);
        Fields::of(self.run(&call).await?).reset()
    }

    async fn find_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>> {
        self.take_reset(user, digest, "find").await
    }

    async fn consume_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>> {
        self.take_reset(user, digest, "consume").await
    }

    async fn restore_reset(&self, user: UserId, challenge: &ResetChallenge) -> StoreResult<()> {
        let mut call = scripts::RESET_RESTORE.prepare_invoke();
        call.key(reset_key(user)).arg(self.offset());
        call.arg(challenge.id.as_slice()).arg(challenge.key.0).arg(challenge.digest.as_bytes().as_slice());
        call.arg(challenge.expires.millis()).arg(challenge.app.map(|app| app.0.to_string()).unwrap_or_default());
        call.arg(challenge.epoch);
        self.run(&call).await
    }
}
