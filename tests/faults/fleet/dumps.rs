//! A stolen backup contains no usable secret. The tests search a dump of PostgreSQL, and the snapshot and log of Redis, for
//! known secrets in plain form and in common encodings.

use super::{Fleet, PASSWORD, SECRET, ask, check, reset_token, set_password, settled, sign_in, try_sign_in};
use crate::canaries::{Canary, files, stands_alone, text};
use crate::inbox;
use portcullis_testkit::postgres::{Database, shared_database};
use portcullis_testkit::redis::Redis;

/// Whole snapshots, as a backup takes them, and every change since.
const WRITES_ALL: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--rdbcompression", "no"];

async fn search(redis: &Redis, database: &Database, canaries: &[Canary], codes: &[&str]) {
    assert_eq!(redis.command(&["SAVE"]).await.expect("Redis answers"), "+OK");
    let dump = database.dump();
    assert!(dump.contains("canary@example.com") && dump.contains("$argon2id$"), "the accounts are in the dump");
    let mut places = vec![("PostgreSQL".to_owned(), dump)];
    for file in files(redis.folder()) {
        let content = text(&std::fs::read(&file).expect("readable"));
        places.push((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), content));
    }
    let holds_sessions =
        |kind: &str| places.iter().any(|(name, text)| name.contains(kind) && text.contains(":sessions"));
    assert!(holds_sessions("dump.rdb") && holds_sessions(".aof"), "the snapshot and the log are searched");
    for (place, content) in &places {
        for canary in canaries {
            assert!(!canary.is_in(content), "{} stands in {place}", canary.what);
        }
        for code in codes {
            assert!(!stands_alone(content, code), "a phone code stands in {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_opens_no_door() {
    let (redis, database) = (Redis::start_with(&WRITES_ALL).await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url());
    let (wrong, fresh) = ("wrong-canary-guess-8842", "fresh-canary-staple-5527");
    let owner = fleet.user("canary").to_string();
    let add = ["keys", "add", "--app", super::APP, "--owner", &owner, "--scope", "owner:act"];
    let key = fleet.run(&add, "")["key"].as_str().expect("shown once").to_owned();
    let node = fleet.start("a");
    assert_eq!(try_sign_in(&node, "canary", wrong).status, 401);
    let token = sign_in(&node, "canary", PASSWORD);
    assert_eq!((check(&node, &token), ask(&node, "GET", "/sessions", &key, "").status), (200, 200));
    let sent = ask(&node, "POST", "/settings/send_phone_verification", &token, "phone=%2B12125550123");
    assert_eq!(sent.status, 200, "{}", sent.body);
    let code = inbox::delivered(&[&node], "+12125550123", inbox::code);
    let guess = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(ask(&node, "POST", "/settings/verify_phone", &token, &format!("token={guess}")).status, 422);
    let reset = reset_token(&[&node], "canary");

    let mut canaries = vec![
        Canary::text("the secret of the fleet", SECRET),
        Canary { what: "the bytes of the secret", bytes: (0..32).collect() },
        Canary::text("the first password", PASSWORD),
        Canary::text("a wrong password", wrong),
        Canary::text("a user token", &token),
        Canary::decoded("the bytes of a user token", &token),
        Canary::text("a server key", &key),
        Canary::decoded("the bytes of a server key", &key),
        Canary::text("a reset token", &reset),
        Canary::decoded("the bytes of a reset token", &reset),
    ];
    // While the code and the link are valid, and after they were used.
    search(&redis, &database, &canaries, &[&code, guess]).await;
    let verified = ask(&node, "POST", "/settings/verify_phone", &token, &format!("token={code}"));
    assert_eq!(verified.status, 200, "{}", verified.body);
    let done = set_password(&node, &reset, fresh);
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(settled(&node, &token), 401);
    let second = sign_in(&node, "canary", fresh);
    canaries.extend([
        Canary::text("the new password", fresh),
        Canary::text("the second user token", &second),
        Canary::decoded("the bytes of the second user token", &second),
    ]);
    search(&redis, &database, &canaries, &[&code, guess]).await;
}
