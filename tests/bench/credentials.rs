//! Tokens, and the rules for new passwords.

use divan::{Bencher, black_box};
use portcullis_actors::derive::{Keyring, random_bytes};
use portcullis_actors::domain::{Email, Password, UserId, UserToken};
use portcullis_testkit::defaults;

/// With two secrets, as while one is rotated.
fn keyring() -> Keyring {
    Keyring::new(&[[1; 32].into(), [2; 32].into()]).expect("two secrets")
}

fn token_of(keyring: &Keyring) -> UserToken {
    keyring.issue_token(UserId(1_000_000), random_bytes())
}

#[divan::bench]
fn issue_a_token(bencher: Bencher) {
    let keyring = keyring();
    bencher.bench(|| token_of(black_box(&keyring)));
}

#[divan::bench]
fn parse_a_token(bencher: Bencher) {
    let text = token_of(&keyring()).expose();
    bencher.bench(|| black_box(text.as_str()).parse::<UserToken>());
}

#[divan::bench]
fn verify_a_token(bencher: Bencher) {
    let keyring = keyring();
    let token = token_of(&keyring);
    bencher.bench(|| keyring.vouches_for(black_box(&token)));
}

/// Both secrets are tried.
#[divan::bench]
fn verify_a_forged_token(bencher: Bencher) {
    let token = token_of(&Keyring::new(&[[3; 32].into()]).expect("a secret"));
    let keyring = keyring();
    bencher.bench(|| keyring.vouches_for(black_box(&token)));
}

#[divan::bench]
fn digest_of_a_token(bencher: Bencher) {
    let token = token_of(&keyring());
    bencher.bench(|| black_box(&token).digest());
}

#[divan::bench(args = ["password1", "correct horse battery staple", "pässwörter sind länger als man denkt"])]
fn rules_for_a_new_password(bencher: Bencher, text: &str) {
    let (policy, email) = (defaults().passwords, "ada@example.com".parse::<Email>().expect("an address"));
    let password = text.parse::<Password>().expect("a password");
    bencher.bench(|| policy.accept(black_box(&password), &email).is_ok());
}
