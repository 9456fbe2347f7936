//! Tests of the pool's results: right and wrong passwords, upgrades, spellings, and hostile stored hashes.

mod implementations;
mod queueing;

use super::*;
use std::time::Instant;

/// The policy of a pool with cheap hashes.
const CHEAP: HashingPolicy = HashingPolicy {
    memory_kib: 64,
    iterations: 2,
    lanes: 1,
    threads: 2,
    max_wait_ms: 500,
    backend: HashingBackend::Simd,
};

fn pool(backend: HashingBackend) -> HashingPool {
    HashingPool::start(&HashingPolicy { backend, ..CHEAP }).expect("both agree")
}

fn password(text: &str) -> Password {
    text.parse().expect("a password")
}

#[tokio::test]
async fn a_hash_verifies_under_both_implementations() {
    for (made_by, read_by) in
        [(HashingBackend::Simd, HashingBackend::Reference), (HashingBackend::Reference, HashingBackend::Simd)]
    {
        let hash = pool(made_by).hash(&password("correct horse")).await.expect("hashed");
        let reader = pool(read_by);
        assert_eq!(verified(&reader, &password("correct horse"), Some(&hash)).await, Ok(Verified::Yes));
        assert_eq!(verified(&reader, &password("correct horsf"), Some(&hash)).await, Ok(Verified::No));
    }
}

#[tokio::test]
async fn a_new_hash_is_a_phc_string_that_the_reference_crate_reads() {
    use argon2::PasswordVerifier as _;
    let hash = pool(HashingBackend::Simd).hash(&password("correct horse")).await.expect("hashed");
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{hash}");
    let read = argon2::password_hash::phc::PasswordHash::new(&hash).expect("well-formed");
    argon2::Argon2::default().verify_password(b"correct horse", &read).expect("the password");
    acceptable(&hash).expect("our own are acceptable");
}

#[tokio::test]
async fn an_account_that_is_not_there_costs_the_same_work_and_is_answered_no() {
    let pool = pool(HashingBackend::Simd);
    assert_eq!(verified(&pool, &password("anything"), None).await, Ok(Verified::No));
    assert_eq!(pool.observe().done, 1, "it went through the pool");
}

#[tokio::test]
async fn an_account_without_a_password_takes_none() {
    let (pool, stored) = (pool(HashingBackend::Simd), format!("{UNSET}1$2$3$AAAAAAAAAAAAAAAAAAAAAA"));
    for tried in ["correct-horse", UNSET, stored.as_str()] {
        assert_eq!(verified(&pool, &password(tried), Some(&stored)).await, Ok(Verified::No));
    }
    assert!(acceptable(&stored).is_err(), "and none is imported");
}

#[tokio::test]
async fn bcrypt_is_accepted_and_outdated() {
    let pool = pool(HashingBackend::Simd);
    // Devise's, at its test cost: $2a$; and the same in the spelling of PHP.
    let hash = bcrypt::hash("opensesame", 4).expect("hashed");
    for prefix in ["$2a$", "$2b$", "$2y$"] {
        let stored = format!("{prefix}{}", &hash[4..]);
        assert_eq!(verified(&pool, &password("opensesame"), Some(&stored)).await, Ok(Verified::Outdated), "{prefix}");
        assert_eq!(verified(&pool, &password("opensesamf"), Some(&stored)).await, Ok(Verified::No), "{prefix}");
    }
}

/// A hash made elsewhere.
fn argon2id(version: argon2_rust::Version, memory: u64, passes: u32, salt: &[u8], password: &str) -> String {
    use argon2_rust::{Algorithm, Argon2, Params, params::Memory};
    let params = Params::builder().memory(Memory::kib(memory)).passes(passes).build().expect("in bounds");
    Argon2::new(Algorithm::Argon2id, version, params).hash_encoded(password.as_bytes(), salt).expect("hashed")
}

#[tokio::test]
async fn cheaper_and_older_argon2_is_outdated_and_dearer_is_not() {
    let pool = pool(HashingBackend::Simd);
    use argon2_rust::Version::{V0x10, V0x13};
    let (salt, stored) = (&[7; 16], |version, m, t, salt: &[u8]| argon2id(version, m, t, salt, "opensesame"));
    for (stored, verdict) in [
        (stored(V0x13, 64, 2, salt), Verified::Yes),
        (stored(V0x13, 4096, 3, salt), Verified::Yes),
        (stored(V0x13, 64, 1, salt), Verified::Outdated),
        (stored(V0x13, 32, 4, salt), Verified::Outdated),
        (stored(V0x10, 64, 2, salt), Verified::Outdated),
        (stored(V0x13, 64, 2, &[7; 8]), Verified::Outdated),
    ] {
        assert_eq!(verified(&pool, &password("opensesame"), Some(&stored)).await, Ok(verdict), "{stored}");
        assert_eq!(verified(&pool, &password("x"), Some(&stored)).await, Ok(Verified::No), "{stored}");
    }
}

#[tokio::test]
async fn a_hash_of_the_text_as_typed_still_verifies_and_is_outdated() {
    let pool = pool(HashingBackend::Simd);
    let (decomposed, composed) = ("cafe\u{301} au lait", "caf\u{e9} au lait");
    let bcrypt = bcrypt::hash(decomposed, 4).expect("hashed");
    let argon2id = argon2id(argon2_rust::Version::V0x13, 64, 2, &[7; 16], decomposed);
    for legacy in [bcrypt, argon2id] {
        assert_eq!(verified(&pool, &password(decomposed), Some(&legacy)).await, Ok(Verified::Outdated), "{legacy}");
        assert_eq!(verified(&pool, &password(composed), Some(&legacy)).await, Ok(Verified::No), "nothing undoes NFKC");
    }
    let hash = pool.hash(&password(decomposed)).await.expect("hashed");
    for typed in [decomposed, composed] {
        assert_eq!(
            verified(&pool, &password(typed), Some(&hash)).await,
            Ok(Verified::Yes),
            "one password, two keyboards"
        );
    }
}

/// Malformed, unknown, or of a cost that would be an attack.
const HOSTILE: [&str; 29] = [
    "",
    "$",
    "password",
    "$argon2id$",
    "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=99999999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=262144,t=16,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=64,t=4294967295,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=134217728,t=1,p=16777215$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=1024,t=1,p=17$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=-64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=19$m=64,t=2,p=1$$",
    "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$",
    "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$AAAA",
    "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAA",
    "$argon2id$v=19$m=64,t=2,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2id$v=20$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$argon2d$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "$2a$31$WApznUPhDubN0oeveSXHp.Rk0rMN6z1Q1Q3H3F4v3QJ0E9o6oYcXm",
    "$2b$15$WApznUPhDubN0oeveSXHp.Rk0rMN6z1Q1Q3H3F4v3QJ0E9o6oYcXm",
    "$2b$03$WApznUPhDubN0oeveSXHp.Rk0rMN6z1Q1Q3H3F4v3QJ0E9o6oYcXm",
    "$2b$+9$WApznUPhDubN0oeveSXHp.Rk0rMN6z1Q1Q3H3F4v3QJ0E9o6oYcXm",
    "$2x$10$WApznUPhDubN0oeveSXHp.Rk0rMN6z1Q1Q3H3F4v3QJ0E9o6oYcXm",
    "$2b$10$WApznUPhDubN0oeveSXHp.Rk0rMN6z1Q1Q3H3F4v3QJ0",
    "$2b$10$WApznUPhDubN0oeveSXHpéRk0rMN6z1Q1Q3H3F4v3QJ0E9o6oYcX",
    "$pbkdf2-sha256$i=4294967295$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
];

#[tokio::test]
async fn hostile_stored_hashes_cost_what_a_new_one_costs() {
    let pool = pool(HashingBackend::Simd);
    let long = format!("$argon2id$v=19$m=64,t=2,p=1${}$AAAA", "A".repeat(1 << 20));
    let nul = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc\0";
    for hostile in HOSTILE.into_iter().chain([&*long, nul]) {
        let shown = &hostile[..hostile.len().min(60)];
        let quickest = (0..3).map(|_| {
            let begun = Instant::now();
            assert!(acceptable(hostile).is_err(), "{shown}");
            begun.elapsed()
        });
        assert!(quickest.min().is_some_and(|took| took < Duration::from_millis(10)), "{shown}");
        assert_eq!(verified(&pool, &password("password"), Some(hostile)).await, Ok(Verified::No), "{shown}");
    }
    // Each was compared with a decoy of the live cost, so that a broken hash is not told from a wrong password.
    let (seen, hostile) = (pool.observe(), HOSTILE.len() as u64 + 2);
    assert_eq!((seen.done, seen.failed), (hostile, 0));
}

#[test]
fn numbers_out_of_bounds_do_not_start() {
    for policy in [
        HashingPolicy { memory_kib: 4, ..CHEAP },
        HashingPolicy { iterations: 1000, ..CHEAP },
        HashingPolicy { max_wait_ms: 0, ..CHEAP },
    ] {
        assert!(HashingPool::start(&policy).is_err(), "{policy:?}");
    }
}

/// The result of a comparison.
async fn verified(pool: &HashingPool, password: &Password, stored: Option<&str>) -> Result<Verified, HashingError> {
    pool.verify(password, stored).await.map(|comparison| comparison.verified)
}

#[tokio::test]
async fn a_refusal_takes_as_long_as_the_costliest_hash_in_use() {
    let pool = pool(HashingBackend::Simd);
    let bcrypt = bcrypt::hash_with_result("opensesame", 9).expect("a hash").format_for_version(bcrypt::Version::TwoB);
    let begun = Instant::now();
    assert_eq!(verified(&pool, &password("wrong"), Some(&bcrypt)).await, Ok(Verified::No));
    let costly = begun.elapsed();

    pool.expect_imported(acceptable(&bcrypt).expect("an accepted hash"));
    for stored in [None, Some("no hash at all"), Some(bcrypt.as_str())] {
        // The pool learns its speed from every hash, so the wait of this refusal is known only now.
        let wait = pool.longest_comparison();
        assert!(wait > Duration::ZERO);
        let begun = Instant::now();
        let comparison = pool.verify(&password("wrong"), stored).await.expect("compared");
        comparison.wait_before_refusal().await;
        assert!(begun.elapsed() >= wait, "{stored:?}");
    }
    pool.expect_imported(0);
    assert!(pool.longest_comparison() < costly, "nothing costly is left, and nobody waits for it");
}
