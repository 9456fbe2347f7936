//! Challenges: phone codes are in [`super::phone`]; a reset link is one row a user.

use super::{EmbeddedTokenStore, digest, failed, millis, unreadable};
use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, Digest, UserId};
use crate::stores::{
    ChallengeStore, PhoneAnswer, PhoneAsk, PhoneChallenge, PhoneIssue, ResetAsk, ResetChallenge, StoreResult,
};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

/// Takes the place of nothing, of an expired one or of one of an earlier epoch; a living one stays.
const PUT: &str = "
    INSERT INTO reset_challenges (user_id, id, key_id, digest, expires, app_id, epoch)
        VALUES (?1, ?2, ?3, ?4, ?5, ?7, ?8)
    ON CONFLICT (user_id) DO UPDATE
        SET id = excluded.id, key_id = excluded.key_id, digest = excluded.digest, expires = excluded.expires,
            app_id = excluded.app_id, epoch = excluded.epoch
        WHERE expires <= ?6 OR epoch < excluded.epoch";

const LIVING: &str = "SELECT * FROM reset_challenges WHERE user_id = ?1";
const FIND: &str = "SELECT * FROM reset_challenges WHERE user_id = ?1 AND digest = ?2 AND expires > ?3";
const CONSUME: &str = "DELETE FROM reset_challenges WHERE user_id = ?1 AND digest = ?2 AND expires > ?3 RETURNING *";

#[async_trait]
impl ChallengeStore for EmbeddedTokenStore {
    async fn issue_phone(&self, ask: PhoneAsk) -> StoreResult<PhoneIssue> {
        self.issue_phone_code(ask).await
    }

    async fn retract_phone(
        &self,
        user: UserId,
        sent: &PhoneChallenge,
        before: Option<&PhoneChallenge>,
    ) -> StoreResult<()> {
        self.retract_phone_code(user, sent, before).await
    }

    async fn answer_phone(&self, user: UserId, proofs: &[Digest], guesses: u32) -> StoreResult<PhoneAnswer> {
        self.answer_phone_code(user, proofs, guesses).await
    }

    async fn restore_phone(&self, user: UserId, challenge: &PhoneChallenge) -> StoreResult<()> {
        self.restore_phone_code(user, challenge).await
    }

    async fn issue_reset(&self, ask: ResetAsk) -> StoreResult<ResetChallenge> {
        let now = self.now_millis();
        self.write(move |db| {
            Box::pin(async move {
                let expires = Timestamp::from_millis(now.saturating_add(millis(ask.life)));
                let ResetAsk { user, epoch, app, fresh_id: id, fresh_key: key, fresh_digest: digest, .. } = ask;
                put(db, user, &ResetChallenge { id, key, digest, app: Some(app), expires, epoch }, now).await?;
                challenge(&sqlx::query(LIVING).bind(user.0).fetch_one(db).await?)
            })
        })
        .await
    }

    async fn find_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>> {
        let find = sqlx::query(FIND).bind(user.0).bind(digest.as_bytes().as_slice()).bind(self.now_millis());
        let row = self.read(find.fetch_optional(&self.0.readers)).await?;
        row.as_ref().map(challenge).transpose().map_err(failed)
    }

    async fn consume_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>> {
        let now = self.now_millis();
        self.write(move |db| {
            Box::pin(async move {
                let consume = sqlx::query(CONSUME).bind(user.0).bind(digest.as_bytes().as_slice()).bind(now);
                consume.fetch_optional(db).await?.as_ref().map(challenge).transpose()
            })
        })
        .await
    }

    async fn restore_reset(&self, user: UserId, challenge: &ResetChallenge) -> StoreResult<()> {
        let (now, challenge) = (self.now_millis(), challenge.clone());
        self.write(move |db| {
            Box::pin(async move {
                if challenge.expires.millis() > now {
                    put(db, user, &challenge, now).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn put(db: &mut SqliteConnection, user: UserId, challenge: &ResetChallenge, now: i64) -> sqlx::Result<()> {
    sqlx::query(PUT)
        .bind(user.0)
        .bind(challenge.id.as_slice())
        .bind(challenge.key.0)
        .bind(challenge.digest.as_bytes().as_slice())
        .bind(challenge.expires.millis())
        .bind(now)
        .bind(challenge.app.map(|app| app.0))
        .bind(challenge.epoch)
        .execute(db)
        .await?;
    Ok(())
}

fn challenge(row: &SqliteRow) -> sqlx::Result<ResetChallenge> {
    Ok(ResetChallenge {
        id: ChallengeId::try_from(row.try_get::<&[u8], _>("id")?).map_err(|_| unreadable("a challenge"))?,
        key: KeyId(row.try_get("key_id")?),
        digest: digest(row, "digest")?,
        app: row.try_get::<Option<i64>, _>("app_id")?.map(AppId),
        expires: Timestamp::from_millis(row.try_get("expires")?),
        epoch: row.try_get("epoch")?,
    })
}
