//! Counters of the actors: every decision is counted once, by its kind.

use super::{Database, House, Tokens};
use portcullis_actors::derive::Code;
use portcullis_actors::domain::Credential;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::session::{self, SessionSnapshot};
use portcullis_actors::stores::AccountStore as _;
use portcullis_actors::verification::{self, VerificationSnapshot, VerifyCode};
use portcullis_testkit::accounts::new_user;

pub(super) async fn what_is_decided_is_counted(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let token = house.member("ada").await;
    let wrong = house.sign_in(0, "ada", "not the password").await;
    assert_eq!(wrong.err(), Some(ErrorKind::InvalidCredentials));
    // The password is right, and the sessions of its time have been ended.
    let late = house.user("grace", "the right password").await;
    house.tokens.sessions.revoke(late, 1, None).await.expect("the store answers");
    let late = house.sign_in(0, "grace", "the right password").await;
    assert_eq!(late.err(), Some(ErrorKind::InvalidCredentials));
    let seen = house.sessions[0].send(session::Observe).await.expect("the actor answers");
    assert_eq!(seen, SessionSnapshot { signed_in: 1, refused: 1, failed: 1, running: 0 });
    let elsewhere = house.sessions[1].send(session::Observe).await.expect("the actor answers");
    assert_eq!(elsewhere, SessionSnapshot::default(), "each worker counts its own");

    house.send_code(&token, "+12125550123", 1).await.expect("is sent");
    let (code, wrong) = (house.newest_code().await, Code::typed("no code"));
    let credential = Credential::User(token);
    // Of the third one there is nothing to compare: the code was used.
    for (code, outcome) in
        [(wrong, Err(ErrorKind::CodeInvalid)), (code.clone(), Ok(())), (code, Err(ErrorKind::CodeInvalid))]
    {
        let ask = VerifyCode { credential: credential.clone(), code };
        assert_eq!(house.resets.send(ask).await.expect("the actor answers"), outcome);
    }
    let ada = house.database.store.user_by_email(&new_user("ada").email).await.expect("read").expect("there").id;
    let link = house.reset_token(ada).await;
    house.finish(link.clone(), "another good password").await.expect("finished");
    assert_eq!(house.finish(link, "a third one, too late").await, Err(ErrorKind::ResetTokenInvalid));
    house.ask_reset("ada", 1).await;
    house.ask_reset("nobody", 1).await;
    let seen = house.resets.send(verification::Observe).await.expect("the actor answers");
    let expected = VerificationSnapshot {
        codes_issued: 1,
        phones_verified: 1,
        resets_issued: 1,
        resets_finished: 1,
        guesses_compared: 2,
        ..VerificationSnapshot::default()
    };
    assert_eq!(seen, expected);
}
