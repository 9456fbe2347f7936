//! A command that reads or changes data never creates a database. And no command needs settings that it does not use.

use super::shell::Shell;
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::stores::sqlite_url;
use sqlx::{Connection as _, PgConnection};

/// Every command that must not make a database.
const COMMANDS: [&[&str]; 14] = [
    &["users", "list"],
    &["users", "show", "1"],
    &["users", "disable", "1"],
    &["users", "enable", "1"],
    &["users", "set-admin", "1"],
    &["users", "sign-out", "1"],
    &["users", "delete", "1"],
    &["users", "set-password", "1", "--password-stdin"],
    &["apps", "list"],
    &["apps", "default", "driver"],
    &["keys", "list"],
    &["keys", "revoke", "1"],
    &["outbox", "list"],
    &["outbox", "retry", "--dead"],
];

#[tokio::test]
async fn reading_makes_nothing() {
    let database = shared_database().await;
    let alone = Shell::new("development");
    let beside = Shell::new("development").with("database.url", database.url());
    for command in COMMANDS {
        for shell in [&alone, &beside] {
            let line = shell.refused_with(command, PASSWORD);
            assert!(line.contains("no database yet") && line.contains("portcullis serve"), "{command:?}: {line}");
            assert_eq!(std::fs::read_dir(shell.path("")).expect("a folder").count(), 0, "{command:?} made a file");
        }
    }
    let mut connection = PgConnection::connect(database.url()).await.expect("connects");
    let tables = sqlx::query_scalar("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'");
    let tables: i64 = tables.fetch_one(&mut connection).await.expect("a number");
    assert_eq!(tables, 0);
    beside.json(&["apps", "add", "driver"]);
    for command in [&["users", "list"][..], &["outbox", "list"], &["keys", "list"], &["apps", "default", "driver"]] {
        beside.json(command);
    }
}

#[test]
fn a_database_of_an_older_program_is_not_changed_by_reading() {
    let shell = Shell::new("loadtest");
    shell.user("grace@example.com");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = sqlite_url(&shell.path("data/portcullis.db"));
    let step = |statement: &'static str| {
        runtime.block_on(async {
            let mut file = sqlx::SqliteConnection::connect(&url).await.expect("opens");
            let rows = sqlx::raw_sql(statement).execute(&mut file).await.expect("is right").rows_affected();
            file.close().await.expect("closes");
            rows
        })
    };
    step("UPDATE _sqlx_migrations SET version = version - 100");
    assert!(shell.refused(&["users", "list"]).contains("older program"));
    step("UPDATE _sqlx_migrations SET version = version + 200");
    assert!(shell.refused(&["users", "list"]).contains("newer than this program"));
}

#[test]
fn production_wants_of_a_command_only_what_it_uses() {
    let shell = Shell::new("production");
    shell.user("grace@example.com");
    shell.json(&["apps", "add", "driver"]);
    shell.json(&["keys", "add", "--app", "driver", "--owner", "1", "--scope", "devices:read"]);
    for command in [&["users", "list"][..], &["apps", "list"], &["keys", "list"], &["outbox", "list"]] {
        shell.json(command);
    }
    let line = shell.refused(&["users", "disable", "1"]);
    assert!(line.contains("`redis.url`"), "sessions are there: {line}");
    let typo = Shell::new("production").variable("PORTCULLIS_DATABASE__URL", "x").refused(&["users", "list"]);
    assert!(typo.contains("PORTCULLIS_DATABASE__URL"), "what is meant for nobody is told: {typo}");
    let wrong = Shell::new("production").with("database.url", "mysql://x").refused(&["users", "list"]);
    assert!(wrong.contains("`database.url`"), "{wrong}");
}
