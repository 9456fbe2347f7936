//! The steps of the schema, compiled in. A released step is never edited. A change is a new step, in both folders.

use super::Dialect;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, name, and the text for each database.
macro_rules! steps {
    ($($number:literal $name:literal),+ $(,)?) => {
        [$((
            $number,
            $name,
            include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        )),+]
    };
}

const STEPS: [(i64, &str, &str, &str); 7] = steps![
    1 "0001_accounts",
    2 "0002_outbox",
    3 "0003_hardening",
    4 "0004_outbox_trace",
    5 "0005_outbox_lists",
    6 "0006_pages",
    8 "0008_outbox_scale",
];

/// The number of the last step.
pub(super) fn newest() -> i64 {
    STEPS[STEPS.len() - 1].0
}

/// The steps for this kind of database.
pub(super) fn steps(dialect: Dialect) -> Migrator {
    let step = |(number, name, sqlite, postgres): (i64, &'static str, &'static str, &'static str)| {
        let text = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        Migration::new(number, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(STEPS.into_iter().map(step).collect())
}
