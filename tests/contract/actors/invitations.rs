//! Creation of accounts: invitations, their link and its end, races for an address, and bounds.

use super::people::{disabled, invalid_field};
use super::{Database, House, Tokens};
use futures_util::future::join_all;
use portcullis_actors::account::Person;
use portcullis_actors::domain::{KeyScope, ResetToken, UserId};
use portcullis_actors::error::{Dependency, ErrorKind};
use portcullis_actors::stores::AccountStore as _;
use portcullis_testkit::accounts::new_user;
use std::time::Duration;

const PASSWORD: &str = "a good password";
const OTHER: &str = "another good password";

impl House {
    /// The token of the mail that invites this user.
    async fn invitation_of(&self, user: UserId) -> ResetToken {
        let user = self.stored(user).await;
        let invitation = user.invitation().expect("invited");
        let token = self.keyring.reset_token(invitation.key, &invitation.challenge, user.id, &user.email);
        token.expect("the secret is here")
    }
}

pub(super) async fn an_invitation_sets_the_first_password_once(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let owner = house.user("owner", PASSWORD).await;
    let key = house.key_with(1, owner, &[KeyScope::UsersWrite]).await;
    let ada = house.create(&key, "ada", None).await.expect("invited");
    assert!(ada.invited && !ada.admin);
    let queued = "SELECT COUNT(*) FROM outbox WHERE kind = 'invitation' AND locale = 'es' AND due IS NOT NULL";
    assert_eq!(house.database.number(queued).await, 1);
    let refused = house.create(&key, "ada", None).await.expect_err("taken");
    assert_eq!(invalid_field(&refused), "email");
    assert_eq!(house.database.number(queued).await, 1, "asking again mails nothing");

    let stored = house.stored(ada.id).await.password_hash;
    for password in [PASSWORD, stored.as_str()] {
        assert_eq!(house.sign_in(0, "ada", password).await.err(), Some(ErrorKind::InvalidCredentials));
    }
    let token = house.invitation_of(ada.id).await;
    assert!(house.appearance(&token).await.expect("the link lives").invited);
    let short = house.finish(token.clone(), "short").await;
    assert!(matches!(short, Err(ErrorKind::PasswordUnacceptable(_))), "and it costs no link");
    let passwords: Vec<String> = (0..10).map(|n| format!("new password number {n}")).collect();
    let outcomes = join_all(passwords.iter().map(|password| house.finish(token.clone(), password))).await;
    let winners: Vec<_> = outcomes.iter().zip(&passwords).filter(|(outcome, _)| outcome.is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    house.sign_in(0, "ada", winners[0].1).await.expect("the winner's password is the one");
    assert_eq!(house.inspect(&token).await, Err(ErrorKind::ResetTokenInvalid));
    assert!(!Person::from(house.stored(ada.id).await).invited);
    let reset = house.reset_token(ada.id).await;
    assert!(!house.appearance(&reset).await.expect("the link lives").invited, "there is a password now");
}

pub(super) async fn an_invitation_ends_and_a_reset_does_the_same(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let owner = house.user("owner", PASSWORD).await;
    let key = house.key_with(1, owner, &[KeyScope::UsersWrite]).await;
    let mut links = Vec::new();
    for name in ["ada", "grace", "edith", "joan"] {
        let person = house.create(&key, name, None).await.expect("invited");
        links.push((person.id, house.invitation_of(person.id).await));
    }
    let [(ada, of_ada), (grace, of_grace), (edith, of_edith), (_, of_joan)] = &links[..] else { panic!("four") };
    // Somebody who asks for a new password meanwhile gets a link of their own.
    let reset = house.reset_token(*ada).await;
    assert!(house.appearance(&reset).await.expect("the link lives").invited, "there is no password yet");
    house.finish(reset, PASSWORD).await.expect("sets the first password");
    assert_eq!(house.finish(of_ada.clone(), OTHER).await, Err(ErrorKind::ResetTokenInvalid));
    house.sign_in(0, "ada", PASSWORD).await.expect("signs in");
    // Disabling ends it for good.
    house.update(&key, *grace, disabled(true), None).await.expect("disabled");
    assert_eq!(house.finish(of_grace.clone(), OTHER).await, Err(ErrorKind::ResetTokenInvalid));
    house.update(&key, *grace, disabled(false), None).await.expect("enabled");
    assert_eq!(house.finish(of_grace.clone(), OTHER).await, Err(ErrorKind::ResetTokenInvalid));
    house.delete(&key, *edith, None).await.expect("deleted");
    assert_eq!(house.finish(of_edith.clone(), OTHER).await, Err(ErrorKind::ResetTokenInvalid));

    house.tokens.advance(Duration::from_secs(7 * 86_400 - 60));
    assert_eq!(house.inspect(of_joan).await, Ok(()));
    house.tokens.advance(Duration::from_secs(60));
    assert_eq!(house.inspect(of_joan).await, Err(ErrorKind::ResetTokenInvalid));
    assert_eq!(house.finish(of_joan.clone(), OTHER).await, Err(ErrorKind::ResetTokenInvalid));
}

pub(super) async fn one_of_many_who_create_an_address_does(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let owner = house.user("owner", PASSWORD).await;
    let key = house.key_with(1, owner, &[KeyScope::UsersWrite]).await;
    for (name, password) in [("ada", None), ("grace", Some(PASSWORD))] {
        let made = join_all((0..8).map(|_| house.create(&key, name, password))).await;
        let refused: Vec<_> = made.iter().filter_map(|outcome| outcome.as_ref().err()).map(invalid_field).collect();
        assert_eq!(refused, ["email"; 7]);
    }
    assert_eq!(house.database.number("SELECT COUNT(*) FROM outbox").await, 1);
}

/// A person and their invitation come together or not at all, and what fails costs nothing of the budget.
pub(super) async fn invitations_have_bounds(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let owner = house.user("owner", PASSWORD).await;
    let key = house.key_with(1, owner, &[KeyScope::UsersWrite]).await;
    let failed = house.without("outbox", house.create(&key, "user0", None)).await;
    assert_eq!(failed.err(), Some(ErrorKind::DependencyUnavailable(Dependency::Database)));
    assert!(house.database.store.user_by_email(&new_user("user0").email).await.expect("the store answers").is_none());
    // The bound of all mails with such a link, in these tests.
    for n in 0..30 {
        house.create(&key, &format!("user{n}"), None).await.expect("invited");
        assert!(house.create(&key, &format!("user{n}"), None).await.is_err(), "a duplicate costs nothing");
    }
    let refused = house.create(&key, "one-more", None).await.err();
    assert!(matches!(refused, Some(ErrorKind::TooManyMessages { .. })), "{refused:?}");
    house.create(&key, "one-more", Some(PASSWORD)).await.expect("with a password nobody is mailed");
}
