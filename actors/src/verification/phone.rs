//! Phone codes: send one, compare one.

use super::VerificationPorts;
use super::budgets::{self, Budget, daily, hourly, ten_minutes};
use super::messages::{IssueCode, VerifyCode};
use crate::clock::random_bytes;
use crate::derive::{ChallengeId, Code, KeyId};
use crate::domain::{Digest, Phone, UserId};
use crate::error::ErrorKind;
use crate::notifier::{Destination, MessageKind, NewMessage, Wake};
use crate::session::{Acting, network_of};
use crate::stores::{PhoneAnswer, PhoneAsk, PhoneIssue, Verdict};
use std::net::IpAddr;
use std::time::Duration;

/// Wrong codes for a number: charged by wrong answers, asked before a send and before a right one counts.
const WRONG: &str = "phone-wrong";

pub(super) async fn issue(ports: &VerificationPorts, ask: IssueCode) -> Result<(), ErrorKind> {
    let policy = &ports.phones;
    let acting = ports.auth.user(&ask.credential).await?;
    let phone = Phone::parse(&ask.phone, &policy.default_region)
        .map_err(|error| ErrorKind::invalid("phone", error.to_string()))?;
    if !policy.serves(&phone) {
        return Err(ErrorKind::RegionNotAllowed);
    }
    let user = ports.auth.accounts.user(acting.user).await?.ok_or(ErrorKind::InvalidToken)?;
    let budgets = if ports.limits.enabled { budgets_of(ports, &acting, &phone, ask.peer) } else { Vec::new() };
    if ports.limits.enabled {
        refuse_if(wrong_codes(ports, &phone).await?)?;
        // Before the challenge: what is refused here must not touch a code that is on its way to another number.
        refuse_if(budgets::charge(&*ports.counts, &budgets).await?)?;
    }

    let (id, key) = (random_bytes(&*ports.random), ports.auth.keyring.current());
    let code = ports.code_of(key, &id, acting.user, &phone).ok_or(ErrorKind::CodeInvalid)?;
    let issue = ports.challenges.issue_phone(PhoneAsk {
        user: acting.user,
        phone: phone.clone(),
        fresh_id: id,
        fresh_key: key,
        fresh_proof: ports.auth.keyring.phone_proof(acting.user, &code),
        life: policy.life(),
        renew_below: Duration::from_secs(policy.renew_below_secs),
        guesses: policy.guesses,
        waits: if ports.limits.enabled { policy.resend_waits() } else { Vec::new() },
    });
    let issued = match issue.await? {
        PhoneIssue::Send(challenge) => Ok(challenge),
        PhoneIssue::Wait(retry_after) => Err(ErrorKind::TooManyMessages { retry_after }),
        PhoneIssue::Exhausted(wait) => Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
    };
    if issued.is_err() {
        budgets::give_back(&*ports.counts, &budgets).await?;
    }
    let challenge = issued?;
    // The challenge first, then the row that will carry its code, then the answer.
    let message = NewMessage {
        kind: MessageKind::PhoneCode { challenge: challenge.id, key: challenge.key },
        user: acting.user,
        app: acting.app,
        to: Destination::Sms(phone),
        locale: user.locale.or(ask.locale).unwrap_or_default(),
        expires: challenge.expires,
    };
    ports.outbox.enqueue(message).await?;
    ports.notifier.do_send(Wake);
    ports.counters.codes_issued.add();
    Ok(())
}

/// What a code is charged to. A back end has a budget of its own instead of its address's.
fn budgets_of(ports: &VerificationPorts, acting: &Acting, phone: &Phone, peer: IpAddr) -> Vec<Budget> {
    let policy = &ports.phones;
    let source = match acting.key {
        Some(key) => format!("key/{key}"),
        None => format!("address/{}", network_of(peer)),
    };
    let subject = |text: &str| ports.auth.keyring.subject(text);
    vec![
        ("sms-number-10min", subject(phone.as_str()), ten_minutes(policy.per_number_10min)),
        ("sms-number-day", subject(phone.as_str()), daily(policy.per_number_day)),
        ("sms-account-day", subject(&acting.user.to_string()), daily(policy.per_account_day)),
        ("sms-source-hour", subject(&source), hourly(policy.per_address_hour)),
        ("sms-prefix-hour", subject(phone.prefix()), hourly(policy.per_prefix_hour)),
        ("sms-total-hour", subject("all"), hourly(policy.total_hour)),
    ]
}

/// Whether there were too many wrong codes for a number today.
async fn wrong_codes(ports: &VerificationPorts, phone: &Phone) -> Result<Verdict, ErrorKind> {
    let number = ports.auth.keyring.subject(phone.as_str());
    Ok(ports.counts.peek(WRONG, number, daily(ports.phones.wrong_per_number_day)).await?)
}

fn refuse_if(verdict: Verdict) -> Result<(), ErrorKind> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Refused(retry_after) => Err(ErrorKind::TooManyMessages { retry_after }),
    }
}

pub(super) async fn verify(ports: &VerificationPorts, ask: VerifyCode) -> Result<(), ErrorKind> {
    let acting = ports.auth.user(&ask.credential).await?;
    let proofs: Vec<Digest> = ports.auth.keyring.phone_proofs(acting.user, &ask.code);
    match ports.challenges.answer_phone(acting.user, &proofs, ports.phones.guesses).await? {
        PhoneAnswer::Right(challenge) => {
            // A number's codes may be on their way to several accounts; a guess beyond the day's number is none.
            if ports.limits.enabled
                && let Verdict::Refused(wait) = wrong_codes(ports, &challenge.phone).await?
            {
                return Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) });
            }
            let kept = ports.auth.accounts.set_phone(acting.user, &challenge.phone).await;
            if kept.is_err() {
                // What was used up and could not be written down is put back, so that the code still works.
                ports.challenges.restore_phone(acting.user, &challenge).await?;
            }
            if !kept? {
                return Err(ErrorKind::InvalidToken);
            }
            ports.counters.phones_verified.add();
            Ok(())
        }
        PhoneAnswer::Wrong(phone) => {
            if ports.limits.enabled {
                let number = ports.auth.keyring.subject(phone.as_str());
                ports.counts.charge(WRONG, number, daily(ports.phones.wrong_per_number_day)).await?;
            }
            Err(ErrorKind::CodeInvalid)
        }
        PhoneAnswer::Exhausted(wait) => Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
        PhoneAnswer::None => Err(ErrorKind::CodeInvalid),
    }
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
