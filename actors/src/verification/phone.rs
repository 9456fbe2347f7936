//! Phone codes: send one, compare one.

use super::VerificationPorts;
use super::messages::{IssueCode, VerifyCode};
use crate::derive::{ChallengeId, Code, KeyId, random_bytes};
use crate::domain::{Digest, Locale, Phone, UserId};
use crate::error::ErrorKind;
use crate::limits::{Budget, daily, hourly, network_of, ten_minutes};
use crate::notifier::Wake;
use crate::session::Acting;
use crate::stores::{Destination, MessageKind, NewMessage, PhoneAnswer, PhoneAsk, PhoneChallenge, PhoneIssue};
use std::net::IpAddr;
use std::time::Duration;

pub(super) async fn issue(ports: &VerificationPorts, ask: IssueCode) -> Result<(), ErrorKind> {
    let policy = &ports.phones;
    let acting = ports.auth.user(&ask.credential).await?;
    let phone = Phone::parse(&ask.phone, &policy.default_region)
        .map_err(|error| ErrorKind::invalid("phone", error.to_string()))?;
    if !policy.serves(&phone) {
        return Err(ErrorKind::RegionNotAllowed);
    }
    let user = ports.auth.accounts.user(acting.user).await?.ok_or(ErrorKind::InvalidToken)?;
    let too_many = |retry_after| Err(ErrorKind::TooManyMessages { retry_after });
    ports.limits.peek(wrong_codes(ports, &phone)).await?.or_else(too_many)?;
    // Charged before the challenge: what is refused here must not touch a code that is on its way to another number.
    let budgets = budgets_of(ports, &acting, &phone, ask.peer);
    let locale = user.locale.or(ask.locale).unwrap_or_default();
    ports.limits.spend(&budgets, send(ports, &acting, user.epoch, phone, locale), too_many).await
}

/// The challenge first, then the row that will carry its code, then the answer.
async fn send(
    ports: &VerificationPorts,
    acting: &Acting,
    epoch: i64,
    phone: Phone,
    locale: Locale,
) -> Result<(), ErrorKind> {
    let policy = &ports.phones;
    let (id, key) = (random_bytes(), ports.auth.keyring.current());
    let code = ports.code_of(key, &id, acting.user, &phone).ok_or(ErrorKind::CodeInvalid)?;
    let issue = ports.challenges.issue_phone(PhoneAsk {
        user: acting.user,
        epoch,
        phone: phone.clone(),
        fresh_id: id,
        fresh_key: key,
        fresh_proof: ports.auth.keyring.phone_proof(acting.user, &code),
        life: policy.life(),
        renew_below: Duration::from_secs(policy.renew_below_secs),
        guesses: policy.guesses,
        waits: if ports.limits.policy.enabled { policy.resend_waits() } else { Vec::new() },
    });
    let (challenge, before) = match issue.await? {
        PhoneIssue::Send { challenge, before } => (challenge, before),
        PhoneIssue::Wait(retry_after) => return Err(ErrorKind::TooManyMessages { retry_after }),
        PhoneIssue::Exhausted(wait) => return Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
    };
    let message = NewMessage {
        kind: MessageKind::PhoneCode { challenge: challenge.id, key: challenge.key },
        user: acting.user,
        app: acting.app,
        to: Destination::Sms(phone),
        locale,
        expires: challenge.expires,
    };
    if let Err(error) = ports.outbox.enqueue(message).await {
        // Nothing was sent, so no send counts, and a code on its way to another number stays the one that works.
        if let Err(error) = ports.challenges.retract_phone(acting.user, &challenge, before.as_deref()).await {
            tracing::info!(%error, "a code that was not sent counts as sent");
        }
        return Err(error.into());
    }
    ports.notifier.do_send(Wake);
    ports.counters.codes_issued.add();
    Ok(())
}

/// What a code is charged to. A back end has a budget of its own instead of its address's.
fn budgets_of(ports: &VerificationPorts, acting: &Acting, phone: &Phone, peer: IpAddr) -> [Budget; 6] {
    let policy = &ports.phones;
    let source = match acting.key {
        Some(key) => format!("key/{key}"),
        None => format!("address/{}", network_of(peer)),
    };
    let budget = |scope, subject: &str, rate| ports.limits.budget(scope, subject, rate);
    [
        budget("sms-number-10min", phone.as_str(), ten_minutes(policy.per_number_10min)),
        budget("sms-number-day", phone.as_str(), daily(policy.per_number_day)),
        budget("sms-account-day", &acting.user.to_string(), daily(policy.per_account_day)),
        budget("sms-source-hour", &source, hourly(policy.per_address_hour)),
        budget("sms-prefix-hour", phone.prefix(), hourly(policy.per_prefix_hour)),
        budget("sms-total-hour", "all", hourly(policy.total_hour)),
    ]
}

/// Wrong codes for a number: charged by wrong answers, asked before a send and before a right one counts.
fn wrong_codes(ports: &VerificationPorts, phone: &Phone) -> Budget {
    ports.limits.budget("phone-wrong", phone.as_str(), daily(ports.phones.wrong_per_number_day))
}

pub(super) async fn verify(ports: &VerificationPorts, ask: VerifyCode) -> Result<(), ErrorKind> {
    let acting = ports.auth.user(&ask.credential).await?;
    let proofs: Vec<Digest> = ports.auth.keyring.phone_proofs(acting.user, &ask.code);
    match ports.challenges.answer_phone(acting.user, &proofs, ports.phones.guesses).await? {
        PhoneAnswer::Right(challenge) => {
            let confirmed = confirm(ports, acting.user, &challenge).await;
            if confirmed.as_ref().is_err_and(ErrorKind::is_not_done) {
                // What was used up and could not be written down is put back, so that the code still works.
                ports.challenges.restore_phone(acting.user, &challenge).await?;
            }
            confirmed
        }
        PhoneAnswer::Wrong(phone) => {
            // One that does not fit any more is refused all the same.
            let _ = ports.limits.charge(&[wrong_codes(ports, &phone)]).await?;
            Err(ErrorKind::CodeInvalid)
        }
        PhoneAnswer::Exhausted(wait) => Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
        PhoneAnswer::None => Err(ErrorKind::CodeInvalid),
    }
}

/// Keeps the number of a right code as verified.
async fn confirm(ports: &VerificationPorts, user: UserId, challenge: &PhoneChallenge) -> Result<(), ErrorKind> {
    // A number's codes may be on their way to several accounts; a guess beyond the day's number is none.
    let fits = ports.limits.peek(wrong_codes(ports, &challenge.phone)).await?;
    fits.map_err(|wait| ErrorKind::TooManyAttempts { retry_after: Some(wait) })?;
    if !ports.auth.accounts.set_phone(user, &challenge.phone).await? {
        return Err(ErrorKind::InvalidToken);
    }
    ports.counters.phones_verified.add();
    Ok(())
}

impl VerificationPorts {
    /// The code of a challenge: the fixed one of the configuration for this number, else the derived one.
    fn code_of(&self, key: KeyId, challenge: &ChallengeId, user: UserId, phone: &Phone) -> Option<Code> {
        match self.fixed_codes.get(phone.as_str()) {
            Some(fixed) => Some(Code::typed(fixed)),
            None => self.auth.keyring.phone_code(key, challenge, user, phone, self.phones.digits),
        }
    }
}
