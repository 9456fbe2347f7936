//! Races between a sign-in and a reset, and between resets.

use super::{Database, House, Tokens, cheap, parsed};
use futures_util::future::{join, join_all};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::hashing::{HashingPolicy, HashingPool, Verified};
use portcullis_actors::stores::AccountStore as _;

const OLD: &str = "the old password";
const NEW: &str = "the new password";

/// Sign-ins with the old password start before, during and after the reset, on two workers. None of their tokens works
/// after the reset (elsewhere: after the other worker has learned of it). A sign-in with the new password works.
pub(super) async fn no_token_of_the_old_password_survives_a_reset(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    for round in 0..25 {
        let name = format!("user{round}");
        let user = house.user(&name, OLD).await;
        let early = house.sign_in(0, &name, OLD).await.expect("the old password still counts");
        assert!(house.lives(0, &early).await && house.lives(1, &early).await);

        let token = house.reset_token(user).await;
        let sign_ins = join_all((0..8).map(|n| house.sign_in(n % 2, &name, OLD)));
        let (mut signed_in, reset) = join(sign_ins, house.finish(token, NEW)).await;
        assert_eq!(reset, Ok(()));
        signed_in.push(Ok(early));
        signed_in.push(house.sign_in(0, &name, OLD).await);

        for outcome in &signed_in {
            match outcome {
                Ok(token) => {
                    assert!(!house.lives(0, token).await, "round {round}: a token outlived its password");
                    house.dies_elsewhere(token).await;
                }
                Err(error) => assert_eq!(*error, ErrorKind::InvalidCredentials),
            }
        }
        assert!(signed_in.last().is_some_and(Result::is_err), "the old password must not sign in any more");
        let fresh = house.sign_in(1, &name, NEW).await.expect("the new password counts");
        assert!(house.lives(0, &fresh).await && house.lives(1, &fresh).await);
    }
}

pub(super) async fn one_of_many_resets_by_one_link_wins(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let user = house.user("ada", OLD).await;
    let token = house.reset_token(user).await;
    let passwords: Vec<String> = (0..20).map(|n| format!("new password number {n}")).collect();
    let outcomes = join_all(passwords.iter().map(|password| house.finish(token.clone(), password))).await;

    let winners: Vec<_> = outcomes.iter().zip(&passwords).filter(|(outcome, _)| outcome.is_ok()).collect();
    assert_eq!(winners.len(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(ErrorKind::ResetTokenInvalid))));
    house.sign_in(0, "ada", winners[0].1).await.expect("the winner's password is the one");
    let revision = house.database.store.user(user).await.expect("the store answers").expect("a user");
    assert_eq!(revision.epoch, 1, "one reset, one epoch");
}

/// The stored hash is cheaper than the policy, so that every sign-in upgrades it.
pub(super) async fn an_upgrade_at_sign_in_never_undoes_a_reset(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let cheaper = HashingPolicy { memory_kib: 32, ..cheap() };
    let cheaper = HashingPool::start(&cheaper).expect("starts");
    for round in 0..25 {
        let name = format!("user{round}");
        let user = house.user(&name, OLD).await;
        let stored = house.database.store.user(user).await.expect("the store answers").expect("a user").password_hash;
        let cheap = cheaper.hash(&parsed(OLD)).await.expect("hashes");
        assert!(house.database.store.upgrade_hash(user, &stored, &cheap).await.expect("the store answers"));
        let compared = house.hashing.verify(&parsed(OLD), Some(&cheap)).await.expect("compared");
        assert_eq!(compared.verified, Verified::Outdated);

        let token = house.reset_token(user).await;
        let sign_ins = join_all((0..4).map(|n| house.sign_in(n % 2, &name, OLD)));
        let (_, reset) = join(sign_ins, house.finish(token, NEW)).await;
        assert_eq!(reset, Ok(()), "round {round}: an upgrade must not be in a reset's way");
        let after = house.sign_in(0, &name, OLD).await;
        assert_eq!(after.err(), Some(ErrorKind::InvalidCredentials), "round {round}");
        house.sign_in(0, &name, NEW).await.expect("the new password counts");
    }
}
