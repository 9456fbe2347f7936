//! The edges of the retry policy.

use super::super::policy::tests::defaults;
use super::*;
use crate::domain::{AppId, Locale, MessageId, UserId};
use crate::stores::{AccountState, Branding, Channel, Destination, MessageKind, NewMessage};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const MIDDLE: u32 = u32::MAX / 2;

/// A message, and how many providers its channel has.
#[derive(Clone)]
struct Failed(Leased, u32);

fn failed(channel: Channel, providers: u32) -> Failed {
    let (to, life) = match channel {
        Channel::Mail => ("ada@example.com", 7 * 86_400),
        Channel::Sms => ("+12125550123", 600),
    };
    let message = NewMessage {
        kind: MessageKind::PasswordNotice,
        user: UserId(1),
        app: AppId(1),
        to: Destination::from_stored(channel, to).expect("a destination"),
        locale: Locale::En,
        expires: NOW.plus(Duration::from_secs(life)),
    };
    let branding = Branding { brand: String::new(), colour: None, mail_from: None, sms_from: None };
    let leased = Leased {
        id: MessageId(1),
        lease: 1,
        until: NOW,
        created: NOW,
        progress: Progress::default(),
        message,
        trace: None,
        account: AccountState::Gone,
        branding,
    };
    Failed(leased, providers)
}

fn mail() -> Failed {
    failed(Channel::Mail, 1)
}

fn transient(retry_after: Option<Duration>) -> SendError {
    SendError::Transient { retry_after, text: String::new() }
}

fn decide(message: &Failed, error: &SendError) -> Next {
    after(&defaults(), &message.0, message.1, error, NOW, MIDDLE)
}

fn wait_of(next: &Next) -> Duration {
    match next {
        Next::Retry { at, .. } => at.since(NOW),
        other => panic!("another try, not {other:?}"),
    }
}

#[test]
fn waits_grow_threefold_to_five_minutes() {
    let mut message = mail();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let next = decide(&message, &transient(None));
        waits.push(wait_of(&next).as_secs_f64().round());
        if let Next::Retry { progress, .. } = next {
            message.0.progress = progress;
        }
    }
    assert_eq!(waits, [3.0, 9.0, 27.0, 81.0, 243.0, 300.0, 300.0]);
}

#[test]
fn no_wait_is_shorter_for_a_message_that_was_refused_often() {
    // The factor's power outgrows any number long before the refusals reach their ceiling.
    for refusals in 5..298 {
        let mut message = mail();
        message.0.progress.refusals = refusals;
        assert_eq!(wait_of(&decide(&message, &transient(None))).as_secs_f64().round(), 300.0, "{refusals}");
    }
}

#[test]
fn a_wait_sways_by_a_fifth_and_the_first_stays_within_five_seconds() {
    let policy = defaults();
    let wait = |roll| wait_of(&after(&policy, &mail().0, 1, &transient(None), NOW, roll));
    assert_eq!(wait(0), Duration::from_millis(2_400));
    assert_eq!(wait(u32::MAX), Duration::from_millis(3_600));
    assert!(wait(u32::MAX) <= Duration::from_secs(5));
}

#[test]
fn retry_after_is_obeyed_up_to_a_quarter_of_an_hour() {
    let wait = |secs| wait_of(&decide(&mail(), &transient(Some(Duration::from_secs(secs)))));
    assert_eq!(wait(0).as_secs(), 3, "never sooner than the own schedule");
    assert_eq!(wait(120).as_secs(), 120);
    assert_eq!(wait(86_400).as_secs(), 900);
}

#[test]
fn a_permanent_refusal_is_the_end() {
    let error = SendError::Permanent("RCPT refused: 550".to_owned());
    assert_eq!(decide(&mail(), &error), Next::Dead("RCPT refused: 550".to_owned()));
}

#[test]
fn refusals_and_age_have_a_ceiling() {
    let mut message = mail();
    message.0.progress.refusals = 299;
    assert!(matches!(decide(&message, &transient(None)), Next::Dead(_)));
    let mut old = mail();
    old.0.created = NOW.minus(Duration::from_secs(86_399));
    assert_eq!(decide(&old, &transient(None)), Next::Dead("given up for its age".to_owned()));
}

#[test]
fn a_providers_fault_never_ages_a_message() {
    let mut message = mail();
    for _ in 0..1_000 {
        let next = decide(&message, &SendError::ProviderFault(String::new()));
        assert_eq!(wait_of(&next).as_secs(), 3, "about three seconds, again and again");
        if let Next::Retry { progress, .. } = next {
            message.0.progress = progress;
        }
    }
    assert_eq!(message.0.progress.refusals, 0);
}

#[test]
fn an_sms_fails_over_after_a_second_failure_and_comes_round_again() {
    let mut message = failed(Channel::Sms, 2);
    let mut path = Vec::new();
    for _ in 0..4 {
        let next = decide(&message, &SendError::ProviderFault(String::new()));
        let waits = wait_of(&next) > Duration::ZERO;
        if let Next::Retry { progress, .. } = next {
            message.0.progress = progress;
        }
        path.push((message.0.progress.provider, waits));
    }
    assert_eq!(path, [(0, true), (1, false), (1, true), (0, true)]);
}

#[test]
fn a_provider_that_asks_for_time_is_left_for_the_next_at_once() {
    let error = transient(Some(Duration::from_secs(60)));
    let next = decide(&failed(Channel::Sms, 2), &error);
    assert_eq!(wait_of(&next), Duration::ZERO);
    assert!(matches!(next, Next::Retry { progress: Progress { provider: 1, .. }, .. }));
    assert_eq!(wait_of(&decide(&failed(Channel::Sms, 1), &error)).as_secs(), 60);
}

#[test]
fn a_provider_that_does_not_answer_is_asked_ever_more_seldom() {
    let mut message = failed(Channel::Sms, 1);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let next = decide(&message, &SendError::Unanswered(String::new()));
        waits.push(wait_of(&next).as_secs_f64().round());
        if let Next::Retry { progress, .. } = next {
            message.0.progress = progress;
        }
    }
    assert_eq!(waits, [3.0, 9.0, 27.0, 81.0]);
    assert_eq!(message.0.progress.refusals, 0, "and nothing dies of it");
}

#[test]
fn what_would_be_tried_after_its_life_expires_now() {
    let mut message = failed(Channel::Sms, 1);
    message.0.message.expires = NOW.plus(Duration::from_secs(2));
    assert_eq!(decide(&message, &SendError::ProviderFault(String::new())), Next::Expired);
    assert_eq!(decide(&message, &transient(Some(Duration::from_secs(600)))), Next::Expired);
}

#[test]
fn one_doubt_is_tried_again_and_a_second_is_not() {
    let mut message = mail();
    let next = decide(&message, &SendError::Unconfirmed(String::new()));
    assert!(matches!(next, Next::Retry { progress: Progress { unconfirmed: 1, refusals: 0, .. }, .. }));
    message.0.progress.unconfirmed = 1;
    assert_eq!(decide(&message, &SendError::Unconfirmed(String::new())), Next::Delivered);
}
