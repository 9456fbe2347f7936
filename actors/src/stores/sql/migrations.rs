//! The steps of the schema, compiled in. A released step is never edited. A change is a new step, in both folders.
//!
//! A step says what a program must know to live with it (`needs`). An additive step, which an older program does not
//! notice, needs only the step that this program knows: so the release before can run beside the new one, and can come
//! back after it. How steps are recorded and applied is in `schema`.

use super::Dialect;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType};

/// A step of the schema.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: i64,
    pub(super) name: &'static str,
    /// The lowest step that a program must know to work with a database that has this one.
    pub(super) needs: i64,
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

/// Number and name, and what a program must know. The texts are in the files of that name.
macro_rules! steps {
    ($($number:literal $name:literal needs $needs:literal),+ $(,)?) => {
        &[$(Step {
            number: $number,
            name: $name,
            needs: $needs,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

pub(super) const STEPS: &[Step] = steps![
    1 "0001_accounts" needs 1,
    2 "0002_outbox" needs 2,
    3 "0003_hardening" needs 3,
    4 "0004_outbox_trace" needs 4,
    5 "0005_outbox_lists" needs 5,
    6 "0006_pages" needs 6,
    7 "0007_closings" needs 6,
    8 "0008_outbox_scale" needs 6,
];

/// The number of the last step.
pub(super) fn newest() -> i64 {
    STEPS[STEPS.len() - 1].number
}

impl Step {
    /// Its text for this kind of database, with a checksum (SHA-384) of it.
    pub(super) fn of(&self, dialect: Dialect) -> Migration {
        let text = match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        };
        Migration::new(self.number, self.name.into(), MigrationType::Simple, text.into_sql_str(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_from_one_and_named_by_their_number() {
        for (step, number) in STEPS.iter().zip(1..) {
            assert_eq!(step.number, number, "{}", step.name);
            assert!(step.name.starts_with(&format!("{number:04}_")), "{}", step.name);
            assert!((1..=number).contains(&step.needs), "{} needs a step that is not there", step.name);
        }
    }
}
