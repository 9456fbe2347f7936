//! Two nodes behind a PgBouncer in transaction mode that has far fewer connections than they.

use super::{Fleet, PASSWORD, ask, check, reset_token, set_password, sign_in, try_sign_in};
use crate::inbox;
use portcullis_testkit::pgbouncer::PgBouncer;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;

/// Connections of PgBouncer to PostgreSQL. Each node has 16 to PgBouncer.
const CONNECTIONS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_works_behind_pgbouncer() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let pooler = PgBouncer::before(database.url(), CONNECTIONS).await;
    let fleet = Fleet::new(&redis.url(), database.url())
        .with("database.url", pooler.url())
        .with("database.pooler", "transaction")
        .with("database.direct_url", database.url());
    let names = ["ada", "bob", "eve", "joe", "kim"];
    for name in names {
        fleet.user(name);
    }
    let nodes = ["a", "b"].map(|name| fleet.start(name));

    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..100)
            .map(|n| {
                let (node, name) = (&nodes[n % 2], names[n % names.len()]);
                scope.spawn(move || try_sign_in(node, name, PASSWORD).status)
            })
            .collect();
        asked.into_iter().map(|asked| asked.join().expect("answered")).collect()
    });
    assert_eq!(answers, [200; 100], "{}", pooler.log());

    // Accounts, codes, links and the outbox.
    let [a, b] = &nodes;
    let token = sign_in(a, "ada", PASSWORD);
    let asked = ask(b, "POST", "/settings/send_phone_verification", &token, "phone=%2B12125550123");
    assert_eq!(asked.status, 200, "{}", asked.body);
    let code = inbox::delivered(&[a, b], "+12125550123", inbox::code);
    assert_eq!(ask(a, "POST", "/settings/verify_phone", &token, &format!("token={code}")).status, 200);
    let reset = reset_token(&[a, b], "ada");
    assert_eq!(set_password(b, &reset, "a-new-staple-5527").status, 200);
    assert_eq!(check(a, &token), 401, "signed out by the reset");
    assert_eq!(try_sign_in(a, "ada", PASSWORD).status, 401);
    assert_eq!(check(b, &sign_in(a, "ada", "a-new-staple-5527")), 200);
}
