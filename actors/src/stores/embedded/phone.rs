//! Phone codes: one row a user. Which code is sent is decided under the write lock; a guess is counted, then compared.
//! A stored number is parsed by its caller and not under the lock, which others wait for.

use super::{EmbeddedTokenStore, digest, failed, left, millis, unreadable};
use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{Digest, Phone, UserId};
use crate::stores::{PhoneAnswer, PhoneAsk, PhoneChallenge, PhoneIssue, StoreResult};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use std::time::Duration;

const LIVING: &str = "SELECT * FROM phone_challenges WHERE user_id = ?1 AND expires > ?2";
const ENDS: &str = "SELECT expires FROM phone_challenges WHERE user_id = ?1 AND expires > ?2";

const PUT: &str = "
    INSERT OR REPLACE INTO phone_challenges
        (user_id, id, key_id, proof, phone, expires, guesses, sends, last_sent, epoch)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const GUESS: &str = "
    UPDATE phone_challenges SET guesses = guesses + 1
    WHERE user_id = ?1 AND expires > ?2 AND guesses < ?3 RETURNING *";

const DROP: &str = "DELETE FROM phone_challenges WHERE user_id = ?1";

impl EmbeddedTokenStore {
    pub(super) async fn issue_phone_code(&self, ask: PhoneAsk) -> StoreResult<PhoneIssue> {
        let now = self.now_millis();
        let decided = self.write(move |db| {
            Box::pin(async move {
                // One of an earlier epoch is as good as revoked.
                let (user, living) = (ask.user, living(db, ask.user, now).await?.filter(|it| it.epoch >= ask.epoch));
                let decision = decide(ask, living.clone(), now);
                if let Decision::Send(challenge) = &decision {
                    put(db, user, challenge).await?;
                }
                Ok((decision, living))
            })
        });
        Ok(match decided.await? {
            (Decision::Wait(wait), _) => PhoneIssue::Wait(wait),
            (Decision::Exhausted(wait), _) => PhoneIssue::Exhausted(wait),
            (Decision::Send(challenge), living) => {
                let before = living.map(Stored::parsed).transpose().map_err(failed)?.map(Box::new);
                PhoneIssue::Send { challenge, before }
            }
        })
    }

    pub(super) async fn retract_phone_code(
        &self,
        user: UserId,
        sent: &PhoneChallenge,
        before: Option<&PhoneChallenge>,
    ) -> StoreResult<()> {
        let (now, sent) = (self.now_millis(), sent.clone());
        let mut retracted = before.cloned().unwrap_or(PhoneChallenge { sends: 0, ..sent.clone() });
        self.write(move |db| {
            Box::pin(async move {
                match living(db, user, now).await? {
                    Some(living) if living.id == sent.id && living.sends == sent.sends => {
                        retracted.guesses = living.guesses;
                        put(db, user, &retracted).await
                    }
                    _ => Ok(()),
                }
            })
        })
        .await
    }

    pub(super) async fn answer_phone_code(
        &self,
        user: UserId,
        proofs: &[Digest],
        guesses: u32,
    ) -> StoreResult<PhoneAnswer> {
        let (now, proofs) = (self.now_millis(), proofs.to_vec());
        let guessed = self
            .write(move |db| {
                Box::pin(async move {
                    let guess = sqlx::query(GUESS).bind(user.0).bind(now).bind(guesses);
                    let Some(row) = guess.fetch_optional(&mut *db).await? else {
                        let ends = sqlx::query_scalar(ENDS).bind(user.0).bind(now).fetch_optional(db).await?;
                        return Ok(Guess::NotCompared { ends });
                    };
                    let stored = Stored::read(&row)?;
                    // Both sides are keyed digests: how long a comparison takes says nothing about a code.
                    let right = proofs.contains(&stored.proof);
                    if right {
                        sqlx::query(DROP).bind(user.0).execute(db).await?;
                    }
                    Ok(Guess::Compared { right, stored })
                })
            })
            .await?;
        Ok(match guessed {
            Guess::NotCompared { ends: None } => PhoneAnswer::None,
            Guess::NotCompared { ends: Some(end) } => PhoneAnswer::Exhausted(left(end, now)),
            Guess::Compared { right: false, stored } => PhoneAnswer::Wrong(stored.phone().map_err(failed)?),
            Guess::Compared { right: true, stored } => PhoneAnswer::Right(stored.parsed().map_err(failed)?),
        })
    }

    pub(super) async fn restore_phone_code(&self, user: UserId, challenge: &PhoneChallenge) -> StoreResult<()> {
        let now = self.now_millis();
        let restored = PhoneChallenge { guesses: challenge.guesses.saturating_sub(1), ..challenge.clone() };
        self.write(move |db| {
            Box::pin(async move {
                if restored.expires.millis() > now && living(db, user, now).await?.is_none() {
                    put(db, user, &restored).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// What to send: the living code for the same number if enough of its life is left, else the fresh one on the budget
/// of the living one.
fn decide(ask: PhoneAsk, living: Option<Stored>, now: i64) -> Decision {
    let fresh = PhoneChallenge {
        id: ask.fresh_id,
        key: ask.fresh_key,
        proof: ask.fresh_proof,
        phone: ask.phone,
        expires: Timestamp::from_millis(now.saturating_add(millis(ask.life))),
        guesses: 0,
        sends: 1,
        last_sent: Timestamp::from_millis(now),
        epoch: ask.epoch,
    };
    let Some(living) = living else { return Decision::Send(fresh) };
    let life = left(living.expires.millis(), now);
    if living.guesses >= ask.guesses {
        return Decision::Exhausted(life);
    }
    let wait = left(living.last_sent.plus(wait_after(living.sends, &ask.waits)).millis(), now);
    if !wait.is_zero() {
        return Decision::Wait(wait);
    }
    let sends = living.sends.saturating_add(1);
    if living.phone == fresh.phone.as_str() && life >= ask.renew_below {
        Decision::Send(PhoneChallenge { sends, last_sent: fresh.last_sent, ..living.with(fresh.phone) })
    } else {
        Decision::Send(PhoneChallenge { sends, guesses: living.guesses, ..fresh })
    }
}

/// What is to be done about a code.
enum Decision {
    Send(PhoneChallenge),
    Wait(Duration),
    Exhausted(Duration),
}

/// The wait after so many sends; the last one repeats, and what was not sent yet waits for nothing.
fn wait_after(sends: u32, waits: &[Duration]) -> Duration {
    if sends == 0 {
        return Duration::ZERO;
    }
    let at = usize::try_from(sends.saturating_sub(1)).unwrap_or(usize::MAX);
    waits.get(at).or(waits.last()).copied().unwrap_or_default()
}

/// What a guess came to.
enum Guess {
    NotCompared { ends: Option<i64> },
    Compared { right: bool, stored: Stored },
}

async fn living(db: &mut SqliteConnection, user: UserId, now: i64) -> sqlx::Result<Option<Stored>> {
    sqlx::query(LIVING).bind(user.0).bind(now).fetch_optional(db).await?.as_ref().map(Stored::read).transpose()
}

async fn put(db: &mut SqliteConnection, user: UserId, challenge: &PhoneChallenge) -> sqlx::Result<()> {
    sqlx::query(PUT)
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
        .await?;
    Ok(())
}

/// A row: a challenge whose number is still text.
#[derive(Clone)]
struct Stored {
    id: ChallengeId,
    key: KeyId,
    proof: Digest,
    phone: String,
    expires: Timestamp,
    guesses: u32,
    sends: u32,
    last_sent: Timestamp,
    epoch: i64,
}

impl Stored {
    fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: ChallengeId::try_from(row.try_get::<&[u8], _>("id")?).map_err(|_| unreadable("a challenge"))?,
            key: KeyId(row.try_get("key_id")?),
            proof: digest(row, "proof")?,
            phone: row.try_get("phone")?,
            expires: Timestamp::from_millis(row.try_get("expires")?),
            guesses: row.try_get("guesses")?,
            sends: row.try_get("sends")?,
            last_sent: Timestamp::from_millis(row.try_get("last_sent")?),
            epoch: row.try_get("epoch")?,
        })
    }

    fn phone(&self) -> sqlx::Result<Phone> {
        Phone::from_stored(&self.phone).ok_or_else(|| unreadable("a phone number"))
    }

    fn parsed(self) -> sqlx::Result<PhoneChallenge> {
        let phone = self.phone()?;
        Ok(self.with(phone))
    }

    fn with(self, phone: Phone) -> PhoneChallenge {
        let Self { id, key, proof, phone: _, expires, guesses, sends, last_sent, epoch } = self;
        PhoneChallenge { id, key, proof, phone, expires, guesses, sends, last_sent, epoch }
    }
}
