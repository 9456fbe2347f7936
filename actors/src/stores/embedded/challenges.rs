//! Challenges: a phone code and a reset link are one row for each user.

use super::{EmbeddedTokenStore, StoreResult, digest, time, unreadable};
use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, Digest, Phone, UserId};
use crate::stores::{
    ChallengeStore, PhoneAnswer, PhoneChallenge, PhoneIssue, PhoneRequest, ResetChallenge, ResetRequest,
};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use std::time::Duration;

const UNEXPIRED_PHONE: &str = "SELECT * FROM phone_challenges WHERE user_id = ?1 AND expires > ?2";

const PUT_PHONE: &str = "
    INSERT OR REPLACE INTO phone_challenges
        (user_id, id, key_id, proof, phone, expires, guesses, sends, last_sent, epoch)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const GUESS: &str = "
    UPDATE phone_challenges SET guesses = guesses + 1
    WHERE user_id = ?1 AND expires > ?2 AND guesses < ?3 RETURNING *";

const DROP_PHONE: &str = "DELETE FROM phone_challenges WHERE user_id = ?1";

/// Inserts a link, or replaces one that has expired or is of an earlier epoch. A unexpired one stays.
const PUT_RESET: &str = "
    INSERT INTO reset_challenges (user_id, id, key_id, digest, expires, app_id, epoch)
        VALUES (?1, ?2, ?3, ?4, ?5, ?7, ?8)
    ON CONFLICT (user_id) DO UPDATE
        SET id = excluded.id, key_id = excluded.key_id, digest = excluded.digest, expires = excluded.expires,
            app_id = excluded.app_id, epoch = excluded.epoch
        WHERE expires <= ?6 OR epoch < excluded.epoch";

const UNEXPIRED_RESET: &str = "SELECT * FROM reset_challenges WHERE user_id = ?1";
const FIND_RESET: &str = "SELECT * FROM reset_challenges WHERE user_id = ?1 AND digest = ?2 AND expires > ?3";
const CONSUME_RESET: &str =
    "DELETE FROM reset_challenges WHERE user_id = ?1 AND digest = ?2 AND expires > ?3 RETURNING *";

#[async_trait]
impl ChallengeStore for EmbeddedTokenStore {
    async fn issue_phone(&self, ask: PhoneRequest) -> StoreResult<PhoneIssue> {
        let now = self.inner.now();
        let work = async |db: &mut SqliteConnection| {
            // A challenge of an earlier epoch counts as revoked.
            let unexpired = unexpired_phone(db, ask.user, now).await?.filter(|unexpired| unexpired.epoch >= ask.epoch);
            let issue = decide(&ask, unexpired, now);
            if let PhoneIssue::Send { challenge, .. } = &issue {
                put_phone(db, ask.user, challenge).await?;
            }
            Ok(issue)
        };
        self.inner.transaction(work).await
    }

    async fn retract_phone(
        &self,
        user: UserId,
        sent: &PhoneChallenge,
        before: Option<&PhoneChallenge>,
    ) -> StoreResult<()> {
        let now = self.inner.now();
        let work = async |db: &mut SqliteConnection| match unexpired_phone(db, user, now).await? {
            Some(unexpired) if unexpired.id == sent.id && unexpired.sends == sent.sends => {
                let mut restored = before.cloned().unwrap_or(PhoneChallenge { sends: 0, ..sent.clone() });
                restored.guesses = unexpired.guesses;
                put_phone(db, user, &restored).await
            }
            _ => Ok(()),
        };
        self.inner.transaction(work).await
    }

    async fn answer_phone(&self, user: UserId, proofs: &[Digest], guesses: u32) -> StoreResult<PhoneAnswer> {
        let now = self.inner.now();
        let work = async |db: &mut SqliteConnection| {
            let guess = sqlx::query(GUESS).bind(user.0).bind(now.millis()).bind(guesses);
            let Some(row) = guess.fetch_optional(&mut *db).await? else {
                let unexpired = unexpired_phone(db, user, now).await?;
                return Ok(unexpired.map_or(PhoneAnswer::None, |it| PhoneAnswer::Exhausted(it.expires.since(now))));
            };
            let challenge = phone_challenge(&row)?;
            // Both sides are keyed digests, so the time that a comparison takes tells nothing about a code.
            if !proofs.contains(&challenge.proof) {
                return Ok(PhoneAnswer::Wrong(challenge.phone));
            }
            sqlx::query(DROP_PHONE).bind(user.0).execute(db).await?;
            Ok(PhoneAnswer::Right(challenge))
        };
        self.inner.transaction(work).await
    }

    async fn restore_phone(&self, user: UserId, challenge: &PhoneChallenge) -> StoreResult<()> {
        let now = self.inner.now();
        let restored = PhoneChallenge { guesses: challenge.guesses.saturating_sub(1), ..challenge.clone() };
        let work = async |db: &mut SqliteConnection| {
            if restored.expires > now && unexpired_phone(db, user, now).await?.is_none() {
                put_phone(db, user, &restored).await?;
            }
            Ok(())
        };
        self.inner.transaction(work).await
    }

    async fn issue_reset(&self, ask: ResetRequest) -> StoreResult<ResetChallenge> {
        let now = self.inner.now();
        let ResetRequest { user, epoch, app, fresh_id: id, fresh_key: key, fresh_digest: digest, life } = ask;
        let fresh = ResetChallenge { id, key, digest, app: Some(app), expires: now.plus(life), epoch };
        let work = async |db: &mut SqliteConnection| {
            put_reset(db, user, &fresh, now).await?;
            reset_challenge(&sqlx::query(UNEXPIRED_RESET).bind(user.0).fetch_one(db).await?)
        };
        self.inner.transaction(work).await
    }

    async fn find_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>> {
        let now = self.inner.now().millis();
        let find = sqlx::query(FIND_RESET).bind(user.0).bind(digest.as_bytes().as_slice()).bind(now);
        self.inner.read(async |db| find.fetch_optional(db).await?.as_ref().map(reset_challenge).transpose()).await
    }

    async fn consume_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>> {
        let now = self.inner.now().millis();
        let consume = sqlx::query(CONSUME_RESET).bind(user.0).bind(digest.as_bytes().as_slice()).bind(now);
        self.inner.write(async |db| consume.fetch_optional(db).await?.as_ref().map(reset_challenge).transpose()).await
    }

    async fn restore_reset(&self, user: UserId, challenge: &ResetChallenge) -> StoreResult<()> {
        let now = self.inner.now();
        if challenge.expires <= now {
            return Ok(());
        }
        self.inner.write(async |db| put_reset(db, user, challenge, now).await).await
    }
}

/// Decides what to send: the unexpired code for the same number if enough of its life is left, else the fresh one, which
/// inherits guesses and sends.
fn decide(ask: &PhoneRequest, unexpired: Option<PhoneChallenge>, now: Timestamp) -> PhoneIssue {
    let fresh = PhoneChallenge {
        id: ask.fresh_id,
        key: ask.fresh_key,
        proof: ask.fresh_proof,
        phone: ask.phone.clone(),
        expires: now.plus(ask.life),
        guesses: 0,
        sends: 1,
        last_sent: now,
        epoch: ask.epoch,
    };
    let Some(unexpired) = unexpired else { return PhoneIssue::Send { challenge: fresh, before: None } };
    let life = unexpired.expires.since(now);
    if unexpired.guesses >= ask.guesses {
        return PhoneIssue::Exhausted(life);
    }
    let wait = unexpired.last_sent.plus(wait_after(unexpired.sends, &ask.waits)).since(now);
    if !wait.is_zero() {
        return PhoneIssue::Wait(wait);
    }
    let sends = unexpired.sends.saturating_add(1);
    let challenge = if unexpired.phone == fresh.phone && life >= ask.renew_below {
        PhoneChallenge { sends, last_sent: now, ..unexpired.clone() }
    } else {
        PhoneChallenge { sends, guesses: unexpired.guesses, ..fresh }
    };
    PhoneIssue::Send { challenge, before: Some(Box::new(unexpired)) }
}

/// The wait after so many sends. The last one repeats. A code that was not sent yet has no wait.
fn wait_after(sends: u32, waits: &[Duration]) -> Duration {
    let Some(at) = sends.checked_sub(1) else { return Duration::ZERO };
    waits.get(at as usize).or(waits.last()).copied().unwrap_or_default()
}

async fn unexpired_phone(
    db: &mut SqliteConnection,
    user: UserId,
    now: Timestamp,
) -> sqlx::Result<Option<PhoneChallenge>> {
    let unexpired = sqlx::query(UNEXPIRED_PHONE).bind(user.0).bind(now.millis());
    unexpired.fetch_optional(db).await?.as_ref().map(phone_challenge).transpose()
}

async fn put_phone(db: &mut SqliteConnection, user: UserId, challenge: &PhoneChallenge) -> sqlx::Result<()> {
    sqlx::query(PUT_PHONE)
        .bind(user.0)
        .bind(challenge.id.as_slice())
        .bind(challenge.key.0)
        .bind(challenge.proof.as_bytes().as_slice())
        .bind(challenge.phone.as_str())
        .bind(challenge.expires.millis())
        .bind(challenge.guesses)
        .bind(challenge.sends)
        .bind(challenge.last_sent.millis())
        .bind(challenge.epoch)
        .execute(db)
        .await
        .map(drop)
}

async fn put_reset(
    db: &mut SqliteConnection,
    user: UserId,
    challenge: &ResetChallenge,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(PUT_RESET)
        .bind(user.0)
        .bind(challenge.id.as_slice())
        .bind(challenge.key.0)
        .bind(challenge.digest.as_bytes().as_slice())
        .bind(challenge.expires.millis())
        .bind(now.millis())
        .bind(challenge.app.map(|app| app.0))
        .bind(challenge.epoch)
        .execute(db)
        .await
        .map(drop)
}

fn phone_challenge(row: &SqliteRow) -> sqlx::Result<PhoneChallenge> {
    Ok(PhoneChallenge {
        id: challenge_id(row)?,
        key: KeyId(row.try_get("key_id")?),
        proof: digest(row, "proof")?,
        phone: Phone::from_stored(row.try_get("phone")?).ok_or_else(|| unreadable("a phone number"))?,
        expires: time(row, "expires")?,
        guesses: row.try_get("guesses")?,
        sends: row.try_get("sends")?,
        last_sent: time(row, "last_sent")?,
        epoch: row.try_get("epoch")?,
    })
}

fn reset_challenge(row: &SqliteRow) -> sqlx::Result<ResetChallenge> {
    Ok(ResetChallenge {
        id: challenge_id(row)?,
        key: KeyId(row.try_get("key_id")?),
        digest: digest(row, "digest")?,
        app: row.try_get::<Option<i64>, _>("app_id")?.map(AppId),
        expires: time(row, "expires")?,
        epoch: row.try_get("epoch")?,
    })
}

fn challenge_id(row: &SqliteRow) -> sqlx::Result<ChallengeId> {
    ChallengeId::try_from(row.try_get::<&[u8], _>("id")?).map_err(|_| unreadable("a challenge"))
}
