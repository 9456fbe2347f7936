//! Phone codes: send one, compare one.

use super::messages::{IssueCode, VerifyCode};
use super::{VerificationActor, VerificationPorts};
use crate::derive::random_bytes;
use crate::domain::{Locale, Phone, UserId};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::limits::Source;
use crate::session::Principal;
use crate::stores::{Destination, MessageKind, NewMessage, PhoneAnswer, PhoneChallenge, PhoneIssue, PhoneRequest};
use std::time::Duration;

answers!(VerificationActor: IssueCode => issue, VerifyCode => verify);

pub(super) async fn issue(ports: &VerificationPorts, request: IssueCode) -> Result<(), ErrorKind> {
    let limits = &ports.guard.limits;
    let policy = &limits.policy.phone_codes;
    let principal = ports.auth.user(&request.credential).await?;
    let phone = Phone::parse(&request.phone, &policy.default_region)
        .map_err(|error| ErrorKind::invalid("phone", error.to_string()))?;
    if !policy.serves(&phone) {
        return Err(ErrorKind::RegionNotAllowed);
    }
    let user = ports.auth.accounts.user(principal.user()).await?.ok_or(ErrorKind::InvalidToken)?;
    let too_many = |retry_after| Err(ErrorKind::TooManyMessages { retry_after });
    limits.peek(limits.wrong_codes(&phone)).await?.or_else(too_many)?;
    let source = match &principal {
        Principal::Key(key) => Source::Key(key.id),
        Principal::User(..) | Principal::Page(..) => Source::Address(request.peer),
    };
    let budgets = limits.code_sends(user.id, &phone, source);
    let locale = user.locale.or(request.locale).unwrap_or_default();
    // Charged before the challenge: a refused request must not touch a code that was sent to another number.
    limits.spend(&budgets, send(ports, &principal, user.epoch, phone, locale), too_many).await
}

/// Stores the challenge first, then the message that will carry its code.
async fn send(
    ports: &VerificationPorts,
    principal: &Principal,
    epoch: i64,
    phone: Phone,
    locale: Locale,
) -> Result<(), ErrorKind> {
    let (limits, keyring, user) = (&ports.guard.limits, &ports.auth.keyring, principal.user());
    let policy = &limits.policy.phone_codes;
    let (id, key) = (random_bytes(), keyring.current());
    let code = ports.codes.code(key, &id, user, &phone).ok_or(ErrorKind::CodeInvalid)?;
    let issue = ports.challenges.issue_phone(PhoneRequest {
        user,
        epoch,
        phone: phone.clone(),
        fresh_id: id,
        fresh_key: key,
        fresh_proof: keyring.phone_proof(user, &code),
        life: policy.life(),
        renew_below: Duration::from_secs(policy.renew_below_secs),
        guesses: policy.guesses,
        waits: limits.resend_waits(),
    });
    let (challenge, before) = match issue.await? {
        PhoneIssue::Send { challenge, before } => (challenge, before),
        PhoneIssue::Wait(retry_after) => {
            ports.counters.borrow_mut().resends_too_early += 1;
            return Err(ErrorKind::TooManyMessages { retry_after });
        }
        PhoneIssue::Exhausted(wait) => return Err(guesses_used_up(ports, wait)),
    };
    let message = NewMessage {
        kind: MessageKind::PhoneCode { challenge: challenge.id, key: challenge.key },
        user,
        app: principal.app(),
        to: Destination::Sms(phone),
        locale,
        expires: challenge.expires,
    };
    if let Err(error) = ports.enqueue(message).await {
        // Nothing was sent: this send does not count, and a code that was sent to another number stays valid.
        if let Err(error) = ports.challenges.retract_phone(user, &challenge, before.as_deref()).await {
            tracing::info!(%error, "a phone code that was not sent counts as sent");
        }
        return Err(error.into());
    }
    ports.counters.borrow_mut().codes_issued += 1;
    Ok(())
}

pub(super) async fn verify(ports: &VerificationPorts, request: VerifyCode) -> Result<(), ErrorKind> {
    let (limits, user) = (&ports.guard.limits, ports.auth.user(&request.credential).await?.user());
    let proofs = ports.auth.keyring.phone_proofs(user, &request.code);
    let answer = ports.challenges.answer_phone(user, &proofs, limits.policy.phone_codes.guesses).await?;
    if let PhoneAnswer::Right(_) | PhoneAnswer::Wrong(_) = &answer {
        ports.counters.borrow_mut().guesses_compared += 1;
    }
    match answer {
        PhoneAnswer::Right(challenge) => {
            let confirmed = confirm(ports, user, &challenge).await;
            if confirmed.as_ref().is_err_and(ErrorKind::is_not_done) {
                // The number was not stored, so the code must stay valid.
                ports.challenges.restore_phone(user, &challenge).await?;
            }
            confirmed
        }
        PhoneAnswer::Wrong(phone) => {
            // The answer is the same whether or not the charge fits.
            let _ = limits.charge(&[limits.wrong_codes(&phone)]).await?;
            Err(ErrorKind::CodeInvalid)
        }
        PhoneAnswer::Exhausted(wait) => Err(guesses_used_up(ports, wait)),
        PhoneAnswer::None => Err(ErrorKind::CodeInvalid),
    }
}

fn guesses_used_up(ports: &VerificationPorts, wait: Duration) -> ErrorKind {
    ports.counters.borrow_mut().guesses_used_up += 1;
    ErrorKind::too_many_attempts(wait)
}

/// Stores the number of a right code as verified.
async fn confirm(ports: &VerificationPorts, user: UserId, challenge: &PhoneChallenge) -> Result<(), ErrorKind> {
    // Several accounts may have sent codes to this number. Beyond the day's wrong codes a right one does not count.
    let limits = &ports.guard.limits;
    limits.peek(limits.wrong_codes(&challenge.phone)).await?.map_err(ErrorKind::too_many_attempts)?;
    if !ports.auth.accounts.set_phone(user, &challenge.phone).await? {
        return Err(ErrorKind::InvalidToken);
    }
    ports.counters.borrow_mut().phones_verified += 1;
    Ok(())
}
