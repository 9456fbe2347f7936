//! `database.migrate = "check"`: the server's role may read and write rows and nothing else, and the schema is changed by
//! `portcullis migrate` alone.

use super::{Fleet, PASSWORD, ask, check, reset_token, set_password, sign_in};
use portcullis_testkit::postgres::Postgres;
use portcullis_testkit::redis::Redis;
use sqlx::{Connection as _, PgConnection};

const ROLE: &str = "
    CREATE ROLE server LOGIN PASSWORD 's3cret';
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO server";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_only_change_rows_serves() {
    let (redis, postgres) = (Redis::start().await, Postgres::start().await);
    postgres.execute("postgres", "CREATE DATABASE fleet").await;
    let owner = Fleet::new(&redis.url(), &postgres.url("fleet"));
    let user = owner.user("ada");
    postgres.execute("fleet", ROLE).await;
    let url = postgres.url("fleet").replace("postgres@", "server:s3cret@");
    let mut role = PgConnection::connect(&url).await.expect("connects");
    sqlx::raw_sql("CREATE TABLE x (y INT)").execute(&mut role).await.expect_err("it may not");

    let limited = owner.again("loadtest").with("database.url", &url);
    for migrate in ["check", "auto"] {
        let node = limited.again("loadtest").with("database.migrate", migrate).start("a");
        let password = if migrate == "check" { PASSWORD } else { "a-new-staple-5527" };
        let token = sign_in(&node, "ada", password);
        assert_eq!(check(&node, &token), 200);
        let push = ask(&node, "PUT", "/devices/phone", &token, "mobile_os=ios&apn_token=push");
        assert_eq!(push.status, 200, "{}", push.body);
        let out = ask(&node, "DELETE", &format!("/tokens/{user}"), &token, "");
        assert_eq!((out.status, check(&node, &token)), (200, 401), "{}", out.body);
        if migrate == "check" {
            let reset = reset_token(&[&node], "ada");
            let set = set_password(&node, &reset, "a-new-staple-5527");
            assert_eq!(set.status, 200, "{}", set.body);
        }
    }

    postgres.execute("fleet", "DELETE FROM _sqlx_migrations WHERE version = 6").await;
    let checking = limited.with("database.migrate", "check");
    let setup = checking.node("late");
    let started = setup.start().map(drop);
    let refusals = [&["users", "list"][..], &["apps", "add", "rider"], &["migrate", "--check"]];
    let refusals = refusals.map(|command| setup.run(command, "").map(drop));
    for refusal in refusals.into_iter().chain([started]) {
        let said = refusal.expect_err("a step is missing").to_string();
        assert!(said.contains("lacks 0006_pages; run `portcullis migrate` first"), "{said}");
        assert!(said.lines().count() == 1 && !said.contains("s3cret"), "{said}");
    }
    let said = setup.run(&["migrate"], "").expect_err("it may not").to_string();
    assert!(said.contains("lacks rights"), "{said}");
}
