//! The contract of the token stores, written once over the traits and run on every backend.
//!
//! # How to add a backend
//! Add a file beside this one with a [`Backend`] and one line: `token_contract!(ItsName);`. The line makes a test of
//! every case, each on a store of its own. A case gets [`Ports`] and moves time with [`Ports::advance`]. A store that
//! charges an attempt in several steps says so: `token_contract!(ItsName, in_steps);`.
//!
//! Promises of one backend only (its files, its cache, its failures) are tested in the file of that backend.

mod cluster;
pub(crate) mod embedded;
mod limits;
mod one_step;
mod phone;
mod races;
pub(crate) mod redis;
mod resets;
mod revocations;
mod sessions;

use async_trait::async_trait;
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::domain::{AppId, DeviceId, Digest, UserId};
use portcullis_actors::stores::{ChallengeStore, Forgiven, LimitStore, NewSession, Opening, Session, SessionStore};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// A backend that the contract runs on.
#[async_trait]
pub trait Backend {
    /// A fresh, empty store of one test.
    async fn start() -> Ports;
}

/// An open store, as a case sees it.
pub struct Ports {
    pub sessions: Arc<dyn SessionStore>,
    pub challenges: Arc<dyn ChallengeStore>,
    pub limits: Arc<dyn LimitStore>,
    /// The same store as another node or process sees it: with a cache of its own.
    pub elsewhere: Arc<dyn SessionStore>,
    /// The clock of both.
    pub clock: Arc<ShiftedClock>,
    /// The folder or server that must outlive them.
    pub _keep: Box<dyn Any + Send + Sync>,
}

impl Ports {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Opens a session that must open.
    pub async fn opened(&self, new: NewSession) -> Session {
        match self.sessions.open(new).await.expect("the store answers") {
            Opening::Opened(session) => session,
            Opening::StaleEpoch => panic!("the epoch is not stale"),
        }
    }

    /// Whether a check here finds the session.
    pub async fn lives(&self, user: UserId, id: Digest) -> bool {
        self.sessions.find(user, id).await.expect("the store answers").is_some()
    }

    /// The names of the sessions in the order of the list.
    pub async fn listed(&self, user: UserId) -> Vec<Digest> {
        self.sessions.list(user).await.expect("the store answers").into_iter().map(|session| session.id).collect()
    }
}

pub const USER: UserId = UserId(42);
pub const OTHER: UserId = UserId(43);

/// A digest that differs for every `n`.
pub fn digest(n: u64) -> Digest {
    Digest::of(&n.to_be_bytes())
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Session `n` of `user` with the default lives and no device.
pub fn session(user: UserId, n: u64) -> NewSession {
    NewSession {
        user,
        id: digest(n),
        app: AppId(1),
        device: None,
        epoch: 0,
        idle: secs(14 * 86_400),
        absolute: secs(30 * 86_400),
        max_sessions: 20,
        forgiven: Forgiven::default(),
    }
}

/// The same on a device.
pub fn session_on(user: UserId, n: u64, device: i64) -> NewSession {
    NewSession { device: Some(DeviceId(device)), ..session(user, n) }
}

/// The store returned this duration at most a few seconds ago: the tests share a busy machine.
#[track_caller]
pub fn assert_about(found: Duration, expected: Duration) {
    let slack = secs(5);
    assert!(found <= expected && found + slack >= expected, "{found:?} is not about {expected:?}");
}

/// Makes a test of each case for a backend. The compiler warns of a case that is missing here: it is unused.
macro_rules! token_contract {
    ($backend:ty) => {
        $crate::tokens::token_contract! { $backend, in_steps }
        $crate::tokens::token_contract! { $backend;
            one_step: [
                of_a_thousand_attempts_the_budgets_pass,
            ]
        }
    };
    ($backend:ty, in_steps) => {
        $crate::tokens::token_contract! { $backend;
            sessions: [
                a_session_is_found_by_its_user_and_name,
                what_the_memory_of_a_process_answers_is_what_the_store_answers,
                a_session_on_a_device_replaces_that_devices,
                sessions_of_pages_and_of_applications_are_counted_apart,
                the_oldest_go_beyond_the_most,
                expired_sessions_do_not_count_towards_the_most,
                a_session_ends_when_it_is_not_used,
                a_touch_extends_the_idle_life_only,
                a_touch_of_a_closed_session_resurrects_nothing,
                the_list_is_newest_first,
                closing_one_is_idempotent,
                closing_others_keeps_one,
                closing_an_application_leaves_the_others,
                closing_all_leaves_other_users_alone,
                a_revocation_keeps_one_and_refuses_an_older_epoch,
                a_revocation_holds_for_ten_minutes_without_a_session,
                a_revocation_is_idempotent_and_never_lowered,
                a_close_elsewhere_is_seen_here,
                a_note_stays_with_its_session_until_something_changes,
                a_note_is_forgotten_when_it_is_told_elsewhere,
                the_store_can_be_written_to,
            ]
            revocations: [
                a_revocation_drops_the_challenges,
                a_revocation_applied_late_drops_only_what_was_issued_before_it,
                a_restored_challenge_is_dropped_like_any_other,
                a_thousand_revocations_applied_again_lose_no_challenge_issued_since,
            ]
            phone: [
                asking_again_sends_the_same_code,
                resends_wait_longer_each_time,
                no_waits_are_no_waits,
                little_life_left_sends_a_fresh_code_on_the_same_guesses,
                another_number_inherits_guesses_and_sends,
                a_right_code_is_used_up,
                any_of_the_proofs_may_fit,
                wrong_codes_use_up_the_guesses,
                an_expired_code_is_none,
                a_restored_code_is_worth_one_guess_more,
                restoring_leaves_a_living_code_alone,
                restoring_never_prolongs,
                users_do_not_share_codes,
                a_send_that_is_taken_back_costs_no_wait,
                taking_back_puts_the_code_for_another_number_back,
                taking_back_leaves_what_was_sent_since_alone,
            ]
            resets: [
                asking_again_sends_the_same_link,
                an_expired_link_is_replaced,
                looking_at_a_link_leaves_it,
                a_link_works_once,
                a_restored_link_works_again,
                restoring_leaves_a_living_link_alone,
                restoring_never_prolongs,
            ]
            limits: [
                a_rate_lets_so_many_through,
                a_window_closes_as_a_whole,
                a_limit_of_zero_lets_nothing_through,
                peeking_charges_nothing,
                a_refund_gives_one_back_and_never_more,
                scopes_and_subjects_are_apart,
                waits_double_after_the_free_tries,
                a_refused_try_is_not_charged,
                the_wait_of_the_next_try_is_known_without_trying,
                waits_are_forgotten,
                clearing_forgets,
                a_refund_lifts_the_wait_that_its_try_brought,
                too_many_tries_in_a_row_are_refused_until_they_are_forgotten,
                an_attempt_is_charged_to_all_of_its_counters,
                a_full_address_refuses_and_says_how_long_its_failures_last,
                a_full_address_leaves_others_alone_that_it_may_not_refuse,
                a_running_wait_charges_nothing,
                forgiving_clears_some_and_takes_one_back_of_others,
                opening_a_session_forgives_its_attempt,
            ]
            races: [
                of_a_thousand_right_codes_one_wins,
                of_a_thousand_wrong_codes_five_are_compared,
                of_a_thousand_holders_of_a_link_one_wins,
                of_a_thousand_charges_the_limit_passes,
                of_a_thousand_attempts_no_budget_is_overrun,
                a_touch_racing_a_close_resurrects_nothing,
                an_opening_racing_a_revocation_leaves_nothing_old,
                a_check_after_a_sign_out_never_succeeds,
            ]
        }
    };
    ($backend:ty; $($module:ident: [$($case:ident),+ $(,)?])+) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let ports = <$backend as $crate::tokens::Backend>::start().await;
                    $crate::tokens::$module::$case(ports).await;
                }
            )+
        })+
    };
}
pub(crate) use token_contract;
