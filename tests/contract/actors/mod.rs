//! What the actors promise over both stores, on every pair of backends: {SQLite, PostgreSQL} × {SQLite, Redis}.

mod costs;
mod guesses;
mod introspection;
mod invitations;
mod messages;
mod pages;
mod people;
mod plans;
mod races;
mod registrations;
mod sight;

use crate::sql::Backend as Database;
use crate::tokens::Ports as Tokens;
use crate::tokens::embedded::Embedded;
use crate::tokens::redis::OnRedis;
use actix::{Actor, Addr, Context, Handler};
use portcullis_actors::account::{AccountActor, AccountPorts, PasswordPolicy, PasswordSetter, Revoker};
use portcullis_actors::derive::{Keyring, PhoneCodes, Subjects};
use portcullis_actors::domain::{AppId, Credential, MobileOs, Password, ResetToken, UserId, UserToken};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::hashing::{HashingPolicy, HashingPool};
use portcullis_actors::limits::{LimitPolicy, Limits, PasswordLimits, PhonePolicy, ResetPolicy};
use portcullis_actors::notifier::Wake;
use portcullis_actors::session::{
    Applications, Authenticator, Check, IssuedToken, Opens, PasswordGuard, SessionActor, SessionPolicy, SessionPorts,
    SignIn, SignedIn,
};
use portcullis_actors::stores::{AccountStore as _, NewUser, ResetRequest};
use portcullis_actors::verification::{FinishReset, VerificationActor, VerificationPorts};
use portcullis_testkit::accounts::{add_user, new_user};
use portcullis_testkit::defaults;
use portcullis_testkit::wait::eventually;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Runs each case on every pair.
macro_rules! pairs {
    (@ $pair:ident, $database:ident, $tokens:ident: $($module:ident { $($case:ident),+ $(,)? })+) => {
        mod $pair {
            use crate::tokens::Backend as _;

            $($(#[actix::test]
            async fn $case() {
                let (database, tokens) = (super::Database::$database().await, super::$tokens::start().await);
                super::$module::$case(database, tokens).await;
            })+)+
        }
    };
    ($($cases:tt)+) => {
        pairs!(@ sqlite_embedded, sqlite, Embedded: $($cases)+);
        pairs!(@ sqlite_redis, sqlite, OnRedis: $($cases)+);
        pairs!(@ postgres_embedded, postgres, Embedded: $($cases)+);
        pairs!(@ postgres_redis, postgres, OnRedis: $($cases)+);
    };
}

pairs! {
    races {
        no_token_of_the_old_password_survives_a_reset,
        one_of_many_resets_by_one_link_wins,
        an_upgrade_at_sign_in_never_undoes_a_reset,
    }
    guesses {
        five_wrong_passwords_are_free_and_then_waits_double,
        a_known_device_is_not_held_by_what_strangers_tried,
        a_hundred_wrong_passwords_in_a_row_leave_only_a_reset,
        a_hundred_wrong_passwords_on_a_known_device_leave_only_a_reset,
        an_address_has_twenty_wrong_passwords_and_any_number_of_right_ones,
        an_unknown_account_waits_like_a_known_one,
        the_ceiling_tells_nobody_whether_there_is_an_account,
        planted_devices_buy_no_guesses,
        all_known_devices_share_one_ceiling_and_a_new_password_forgets_them,
        parallel_tries_do_not_pass_the_budget_of_their_address,
        tries_under_way_hold_nobody_for_long,
        a_password_is_changed_so_many_times_an_hour,
        a_try_that_nobody_had_time_for_costs_nothing,
        a_full_queue_refuses_before_any_store_is_asked,
        a_try_whose_client_has_gone_is_not_looked_at_and_costs_nothing,
    }
    introspection {
        only_its_own_back_end_prolongs_a_session,
        a_key_that_asks_often_is_read_rarely_and_its_end_is_noticed,
        a_back_end_sees_the_live_keys_of_its_own_application,
        a_request_passes_as_its_user_and_a_key_only_if_it_acts_for_its_owner,
    }
    messages {
        a_code_is_sent_again_after_longer_and_longer_waits,
        a_number_is_sent_five_codes_in_ten_minutes_by_whomever,
        an_account_sends_ten_codes_a_day,
        a_number_has_twenty_five_wrong_codes_a_day,
        no_code_is_right_after_the_twenty_fifth_wrong_one,
        a_refused_send_leaves_the_code_that_is_on_its_way_alone,
        resets_over_their_limits_are_silent,
        what_is_refused_costs_those_it_was_meant_for_nothing,
        a_reset_that_failed_is_mailed_when_asked_again,
        a_code_that_failed_is_sent_when_asked_again,
        a_right_code_survives_a_store_that_fails,
        all_resets_of_an_hour_have_a_bound,
        the_notice_speaks_for_the_application_of_the_reset,
    }
    pages {
        a_session_of_a_page_is_for_its_pages_alone,
        a_session_of_a_page_ends_when_it_is_idle_or_old,
        what_ends_sessions_ends_those_of_pages,
        a_page_makes_keys_with_the_password_of_its_user,
    }
    invitations {
        an_invitation_sets_the_first_password_once,
        an_invitation_ends_and_a_reset_does_the_same,
        one_of_many_who_create_an_address_does,
        invitations_have_bounds,
    }
    people {
        a_key_does_what_its_scopes_say,
        a_key_touches_no_administrator_and_makes_none,
        the_console_asks_for_the_password_again,
        a_profile_is_changed_by_its_owner,
        sessions_end_where_the_caller_may_end_them,
        nobody_is_left_of_a_person_who_signs_in_meanwhile,
    }
    costs {
        a_sign_in_on_an_unchanged_device_reads_once_and_writes_nothing_to_sql,
        an_unchanged_push_registration_asks_nobody,
        a_push_registration_that_was_lost_elsewhere_is_written_again,
    }
    registrations {
        a_change_without_an_answer_is_forgotten_by_every_cache,
        a_token_store_that_fails_is_told_again,
    }
    sight {
        what_is_decided_is_counted,
    }
}

/// A notifier that delivers nothing.
struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

impl Handler<Wake> for Idle {
    type Result = ();
    fn handle(&mut self, _: Wake, _: &mut Context<Self>) {}
}

/// The actors of two workers over one pair of stores.
struct House {
    database: Database,
    tokens: Tokens,
    sessions: [Addr<SessionActor>; 2],
    resets: Addr<VerificationActor>,
    accounts: [Addr<AccountActor>; 2],
    applications: Arc<Applications>,
    keyring: Arc<Keyring>,
    hashing: HashingPool,
}

impl House {
    /// With cheap hashes and without limits.
    async fn build(database: Database, tokens: Tokens) -> Self {
        Self::furnish(database, tokens, cheap(), PasswordLimits { enabled: false, ..defaults().limits }).await
    }

    async fn furnish(database: Database, tokens: Tokens, hashing: HashingPolicy, limits: PasswordLimits) -> Self {
        let (config, store) = (defaults(), Arc::new(database.store.clone()));
        database.app("beyondvip").await;
        let hashing = HashingPool::start(&hashing).expect("the pool starts");
        let keyring = Arc::new(Keyring::new(&[Zeroizing::new([7; 32])]).expect("one secret"));
        let limits = Rc::new(Limits {
            store: tokens.limits.clone(),
            subjects: Subjects::new(&[8; 32]),
            policy: LimitPolicy {
                passwords: limits,
                phone_codes: PhonePolicy { regions: vec!["US".into()], ..config.phone_codes },
                resets: ResetPolicy { total_hour: 30, ..config.resets },
            },
        });
        let applications = Arc::new(Applications::new(store.clone()));
        let auth = |sessions| {
            Rc::new(Authenticator {
                sessions,
                accounts: store.clone(),
                applications: applications.clone(),
                keyring: keyring.clone(),
                clock: tokens.clock.clone(),
                policy: SessionPolicy { idle_secs: 3600, absolute_secs: 7200, ..config.sessions.clone() },
                names: Default::default(),
                keys: Default::default(),
                checks: Default::default(),
                tracker: tokio_util::task::TaskTracker::new(),
            })
        };
        let guard =
            Rc::new(PasswordGuard { limits: limits.clone(), accounts: store.clone(), clock: tokens.clock.clone() });
        let passwords = Rc::new(PasswordSetter {
            policy: PasswordPolicy { refuse_common: false, ..config.passwords },
            hashing: hashing.clone(),
            accounts: store.clone(),
            clock: tokens.clock.clone(),
            notifier: Idle.start().recipient(),
            revoker: Revoker { revocations: store.clone(), sessions: tokens.sessions.clone() },
        });
        let session = |sessions| {
            SessionActor::new(SessionPorts {
                auth: auth(sessions),
                guard: guard.clone(),
                devices: store.clone(),
                hashing: hashing.clone(),
                counters: Default::default(),
            })
            .start()
        };
        let resets = VerificationActor::new(VerificationPorts {
            auth: auth(tokens.sessions.clone()),
            guard: guard.clone(),
            passwords: passwords.clone(),
            challenges: tokens.challenges.clone(),
            outbox: store.clone(),
            notifier: Idle.start().recipient(),
            codes: Arc::new(PhoneCodes { keyring: keyring.clone(), digits: 6, fixed: HashMap::new() }),
            counters: Default::default(),
        });
        let account = |sessions| {
            AccountActor::new(AccountPorts {
                auth: auth(sessions),
                guard: guard.clone(),
                passwords: passwords.clone(),
                devices: store.clone(),
                keys: store.clone(),
                inbox: None,
                counters: Default::default(),
            })
            .start()
        };
        let accounts = [account(tokens.sessions.clone()), account(tokens.elsewhere.clone())];
        let sessions = [session(tokens.sessions.clone()), session(tokens.elsewhere.clone())];
        Self { sessions, resets: resets.start(), accounts, applications, database, tokens, keyring, hashing }
    }

    /// A user with this password.
    async fn user(&self, name: &str, password: &str) -> UserId {
        let password_hash = self.hashing.hash(&parsed(password)).await.expect("the pool hashes");
        add_user(&self.database.store, NewUser { password_hash, ..new_user(name) }).await
    }

    /// The token that a reset mail to `user` would carry.
    async fn reset_token(&self, user: UserId) -> ResetToken {
        let email = self.database.store.user(user).await.expect("the store answers").expect("a user").email;
        let (id, key) = ([user.0.to_be_bytes()[7]; 16], self.keyring.current());
        let token = self.keyring.reset_token(key, &id, user, &email).expect("the secret is here");
        let life = Duration::from_secs(1800);
        let app = AppId(1);
        let ask =
            ResetRequest { user, epoch: 0, app, fresh_id: id, fresh_key: key, fresh_digest: token.digest(), life };
        self.tokens.challenges.issue_reset(ask).await.expect("the store answers");
        token
    }

    async fn sign_in(&self, worker: usize, name: &str, password: &str) -> Result<UserToken, ErrorKind> {
        self.sign_in_from(worker, name, password, [127, 0, 0, 1], None).await
    }

    async fn sign_in_from(
        &self,
        worker: usize,
        name: &str,
        password: &str,
        peer: [u8; 4],
        device: Option<&str>,
    ) -> Result<UserToken, ErrorKind> {
        let ask = self.ask(name, password, peer, device);
        self.sessions[worker].send(ask).await.expect("the actor answers").map(api_token)
    }

    fn ask(&self, name: &str, password: &str, peer: [u8; 4], device: Option<&str>) -> SignIn {
        SignIn {
            email: new_user(name).email,
            password: parsed(password),
            device: device.map(|device| (device.parse().expect("a device"), MobileOs::Ios)),
            push: None,
            app: None,
            locale: None,
            opens: Opens::Api,
            peer: peer.into(),
            caller: CancellationToken::new(),
        }
    }

    async fn lives(&self, worker: usize, token: &UserToken) -> bool {
        let check = Check(Credential::User(token.clone()));
        match self.sessions[worker].send(check).await.expect("the actor answers") {
            Ok(_) => true,
            Err(ErrorKind::InvalidToken) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// The promise is 200 ms. Five seconds leave room for a busy machine. A cache that misses the revocation would
    /// serve the token for 30 s.
    async fn dies_elsewhere(&self, token: &UserToken) {
        let took = eventually("the token dies elsewhere", async || !self.lives(1, token).await).await;
        assert!(took < Duration::from_secs(5), "{took:?}: a token outlived its password elsewhere");
    }

    async fn finish(&self, token: ResetToken, password: &str) -> Result<(), ErrorKind> {
        self.resets
            .send(FinishReset { token, password: parsed(password), caller: CancellationToken::new() })
            .await
            .expect("the actor answers")
    }
}

fn parsed(password: &str) -> Password {
    password.parse().expect("a password")
}

fn cheap() -> HashingPolicy {
    HashingPolicy { memory_kib: 64, iterations: 1, max_wait_ms: 20_000, ..defaults().hashing }
}

/// The token of a sign-in to the API.
fn api_token(signed_in: SignedIn) -> UserToken {
    match signed_in.token {
        IssuedToken::Api(token) => token,
        IssuedToken::Page(_) => panic!("a session of a page was opened"),
    }
}
