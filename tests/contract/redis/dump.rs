//! The files of Redis contain no usable secret.

use super::{ADA, connect, new_session, phone_ask, reset_ask};
use portcullis_actors::derive::{Keyring, Subjects, random_bytes};
use portcullis_actors::domain::{Email, Phone};
use portcullis_actors::stores::{
    Budget, ChallengeStore, Counter, LimitStore, NewSession, PhoneRequest, Rate, ResetRequest, SessionStore,
};
use portcullis_testkit::redis::Redis;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The bytes of all files below a folder.
fn bytes_of(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { bytes_of(&path) } else { fs::read(path).expect("a file") }).collect()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn neither_snapshot_nor_log_holds_a_usable_secret() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--rdbcompression", "no"]).await;
    let store = connect(&redis.url()).await;
    let secret = [9; 32];
    let keyring = Keyring::new(&[secret.into()]).expect("one secret");

    let token = keyring.issue_token(ADA, random_bytes());
    let digest = token.digest();
    store.open(NewSession { id: digest, ..new_session(ADA, "unused", 0) }).await.expect("Redis answers");

    let phone = Phone::parse("+12125550123", "US").expect("possible");
    let code = keyring.phone_code(keyring.current(), &[2; 16], ADA, &phone, 9).expect("the secret is here");
    let fresh_proof = keyring.phone_proof(ADA, &code);
    let ask = PhoneRequest { fresh_key: keyring.current(), fresh_proof, ..phone_ask(ADA) };
    store.issue_phone(ask).await.expect("Redis answers");

    let email: Email = "ada@example.com".parse().expect("well formed");
    let reset = keyring.reset_token(keyring.current(), &[1; 16], ADA, &email).expect("the secret is here");
    let fresh_digest = reset.digest();
    let ask = ResetRequest { fresh_key: keyring.current(), fresh_digest, ..reset_ask(ADA) };
    store.issue_reset(ask).await.expect("Redis answers");

    let rate = Rate { limit: 1, window: Duration::from_secs(60) };
    store
        .charge(Budget { counter: Counter::shared("test", Subjects::new(&secret).of(email.as_str())), rate })
        .await
        .expect("Redis answers");
    assert_eq!(redis.command(&["SAVE"]).await.expect("Redis answers"), "+OK");

    let dump = bytes_of(redis.folder());
    assert!(holds(&dump, digest.as_bytes()) && holds(&dump, fresh_digest.as_bytes()), "the dump is read as it is");
    for (name, canary) in [("token", token.expose()), ("reset token", reset.expose()), ("code", code.expose().into())] {
        assert!(!holds(&dump, canary.as_bytes()), "{name}");
    }
    assert!(!holds(&dump, &[token.body(), token.code()].concat()), "token, raw");
    assert!(!holds(&dump, &token.body()[8..]), "the random part of a token");
    assert!(!holds(&dump, &secret) && !holds(&dump, email.as_str().as_bytes()));
}
