//! The SQL stores: every method and race of their traits on SQLite and on PostgreSQL, and databases that fail or cannot
//! be used.

mod accounts;
mod administration;
mod cancelled;
mod cancelled_statements;
mod closings;
mod deletion;
mod devices;
mod faults;
mod keys;
mod moves;
mod passwords;
mod revocations;
mod starting;

use portcullis_actors::clock::{ShiftedClock, Timestamp};
use portcullis_actors::domain::{AppId, Locale, UserId};
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{Destination, MessageKind, NewMessage, PasswordChange, Pooler};
use portcullis_testkit::accounts::{add_application, add_user, new_application, new_user};
use portcullis_testkit::pgbouncer::PgBouncer;
use portcullis_testkit::postgres::{Database, shared_database};
use portcullis_testkit::stores::{patient, sqlite_url};
use portcullis_testkit::wait::eventually;
use sqlx::{AnyConnection, Connection as _, Row as _};
use std::sync::Arc;
use tempfile::TempDir;

/// Runs each test on both databases, and on PostgreSQL behind a PgBouncer that has fewer connections than the store.
macro_rules! suite {
    ($($module:ident { $($test:ident),+ $(,)? })+) => {
        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$module::$test(super::Backend::sqlite().await).await;
                }
            )+)+
        }
        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$module::$test(super::Backend::postgres().await).await;
                }
            )+)+
        }
        mod pgbouncer {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$module::$test(super::Backend::pgbouncer().await).await;
                }
            )+)+
        }
    };
}

suite! {
    accounts {
        an_account_reads_back_as_it_was_made,
        one_of_many_who_want_an_address_gets_it,
        a_change_of_an_account_keeps_what_it_does_not_name,
        an_invitation_comes_with_its_account,
        nothing_is_counted_for_somebody_who_was_deleted,
        accounts_are_listed_in_pages,
        an_import_harms_no_row_for_another,
        a_phone_and_a_language_are_kept,
        no_wrong_password_is_lost_among_many,
        applications_read_back_and_one_is_the_default,
        an_application_changes_as_told,
        one_application_is_the_default_after_any_race,
    }
    administration {
        accounts_are_found_by_the_beginning_of_their_address,
        accounts_are_found_by_number_and_by_age,
        one_administrator_is_left_after_any_race,
        two_administrators_cannot_end_each_other,
        who_is_no_administrator_any_more_has_no_such_keys,
        keys_come_in_pages_and_those_that_expire_soon_first,
        a_node_is_listed_until_it_stops_or_a_day_has_gone,
        the_outbox_comes_in_pages,
        a_rare_message_is_found_behind_many,
    }
    keys {
        a_key_lives_until_it_or_its_owner_dies,
        a_key_is_made_once,
        a_user_has_so_many_live_keys,
        a_key_is_rotated_once,
        a_key_is_made_by_the_password_of_now,
        a_scope_that_is_not_known_is_none,
    }
    passwords {
        a_change_of_password_is_one_step,
        a_change_that_cannot_be_whole_is_nothing,
        an_upgrade_never_undoes_a_change,
        one_of_many_changes_wins,
        disabling_ends_everything_and_is_undone_by_enabling,
        epochs_are_never_given_twice,
        a_decoy_has_wrong_passwords_like_an_account,
        decoys_are_forgotten_and_accounts_are_not,
        the_costliest_imported_hash_is_known_until_it_is_replaced,
        an_installation_has_one_secret,
    }
    devices {
        a_device_is_one_row,
        a_push_token_follows_the_last_to_register_it,
        a_registration_says_whose_push_token_it_took,
        a_push_token_has_one_owner_after_any_race,
        a_device_has_one_push_token_after_any_race,
        a_registration_is_dropped_by_either_name,
        a_known_device_is_known_for_a_while,
        a_sign_in_finds_its_device_with_its_push_token,
        only_a_sign_in_makes_a_device_known_and_a_new_password_forgets_it,
        a_sign_in_with_the_old_password_makes_no_device_known,
        no_device_is_known_after_a_sign_in_that_races_a_new_password,
        a_user_has_so_many_devices_and_the_least_recently_seen_goes,
        devices_are_read_by_their_numbers,
    }
    revocations {
        a_revocation_is_pending_until_acknowledged,
        recent_revocations_come_in_pages,
    }
    closings {
        what_was_closed_is_read_in_pages,
        closings_are_forgotten_after_a_day_in_small_parts,
        a_closing_does_not_wait_for_the_row_of_its_user,
    }
    deletion {
        nothing_is_left_of_an_account,
    }
    cancelled {
        a_request_that_goes_away_leaves_no_half_change,
    }
    starting {
        a_newer_step_is_accepted_unless_it_needs_a_newer_program,
        a_step_that_is_not_ours_is_refused,
        two_processes_may_start_at_once,
        two_processes_share_a_database,
        what_was_written_is_there_after_a_restart,
        a_database_of_a_newer_program_is_refused,
    }
}

/// A store on a fresh database, with the values that must outlive it.
pub(crate) struct Backend {
    pub(crate) store: SqlStore,
    pub(crate) clock: Arc<ShiftedClock>,
    settings: SqlSettings,
    _file: Option<TempDir>,
    _pooler: Option<PgBouncer>,
    _database: Option<Database>,
}

impl Backend {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = patient(sqlite_url(&folder.path().join("portcullis.db")));
        let opened = Self::open(settings).await;
        Self { _file: Some(folder), ..opened }
    }

    pub(crate) async fn postgres() -> Self {
        let database = shared_database().await;
        let opened = Self::open(patient(database.url())).await;
        Self { _database: Some(database), ..opened }
    }

    /// PostgreSQL, with parameters in the URL.
    pub(crate) async fn postgres_with(settings: &str) -> Self {
        let database = shared_database().await;
        let settings = patient(format!("{}?{settings}", database.url()));
        let opened = Self::open(settings).await;
        Self { _database: Some(database), ..opened }
    }

    /// PostgreSQL behind a PgBouncer.
    pub(crate) async fn pgbouncer() -> Self {
        let database = shared_database().await;
        let pooler = PgBouncer::before(database.url(), 3).await;
        let settings = SqlSettings {
            direct_url: Some(database.url().to_owned()),
            pooler: Pooler::Transaction,
            ..patient(pooler.url())
        };
        let opened = Self::open(settings).await;
        Self { _database: Some(database), _pooler: Some(pooler), ..opened }
    }

    async fn open(settings: SqlSettings) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let store = SqlStore::connect(&settings, clock.clone()).await.expect("the database can be used");
        Self { store, clock, settings, _file: None, _pooler: None, _database: None }
    }

    /// A connection past the store.
    async fn past_it(&self) -> AnyConnection {
        let url = self.settings.direct_url.as_ref().unwrap_or(&self.settings.url);
        AnyConnection::connect(url).await.expect("the database answers")
    }

    async fn user(&self, name: &str) -> UserId {
        add_user(&self.store, new_user(name)).await
    }

    pub(crate) async fn app(&self, name: &str) -> AppId {
        add_application(&self.store, new_application(name)).await
    }

    /// One number from the database, read past the store.
    pub(crate) async fn number(&self, question: &'static str) -> i64 {
        let mut connection = self.past_it().await;
        sqlx::query(question).fetch_one(&mut connection).await.expect("a row").try_get(0).expect("a number")
    }

    /// Rows of a text and two numbers, read past the store.
    pub(crate) async fn rows(&self, question: &'static str) -> Vec<(String, i64, i64)> {
        let mut connection = self.past_it().await;
        sqlx::query_as(question).fetch_all(&mut connection).await.expect("rows")
    }

    /// Waits until this PostgreSQL database has no other connection.
    pub(crate) async fn alone(&self) {
        let others = "SELECT COUNT(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        eventually("the others have disconnected", async || self.number(others).await == 0).await;
    }

    /// Runs a statement past the store.
    pub(crate) async fn execute(&self, statement: &'static str) {
        let mut connection = self.past_it().await;
        sqlx::raw_sql(statement).execute(&mut connection).await.expect("the statement is right");
    }
}

fn change(user: UserId, app: AppId, old: &str, new: &str) -> PasswordChange {
    PasswordChange {
        user,
        old_hash: old.to_owned(),
        new_hash: new.to_owned(),
        keep: None,
        notice: NewMessage {
            kind: MessageKind::PasswordNotice,
            user,
            app,
            to: Destination::Mail("ada@example.com".parse().expect("an address")),
            locale: Locale::En,
            expires: Timestamp::from_millis(i64::MAX),
        },
    }
}
