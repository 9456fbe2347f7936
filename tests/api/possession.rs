//! Journeys through the whole server: passwords, resets and phone numbers, also of a disabled account.

use super::app::{json, problem};
use super::journey::done;
use super::live::Live;
use portcullis_actors::stores::AccountStore as _;
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::wait::eventually;
use reqwest::{Method, RequestBuilder};

const NEW: &str = "an umbrella for the moon";

impl Live {
    fn try_in(&self, name: &str, password: &str) -> RequestBuilder {
        let pairs = [("email", format!("{name}@example.com")), ("password", password.to_owned())];
        self.request(Method::POST, "/api/v1/tokens").form(&pairs)
    }

    async fn ask_reset(&self, name: &str) {
        let pairs = [("email", format!("{name}@example.com"))];
        done(self.request(Method::POST, "/api/v1/tokens/reset").form(&pairs)).await;
    }

    /// The secret part of the link in the last reset mail.
    async fn reset_token(&self) -> String {
        let mail = self.received("reset_link", 1).await.swap_remove(0);
        let start = mail.find("/password/reset/").expect("a link") + "/password/reset/".len();
        mail[start..].split_whitespace().next().expect("a token").to_owned()
    }

    fn put_password(&self, pairs: &[(&str, &str)]) -> RequestBuilder {
        self.request(Method::PUT, "/api/v1/password").form(pairs)
    }
}

#[actix_web::test]
async fn who_knows_the_password_changes_it_and_stays_signed_in() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    let (own, other) = (live.enter("grace", &[]).await, live.enter("grace", &[]).await);
    let change =
        |current, new| live.put_password(&[("current_password", current), ("password", new)]).bearer_auth(&own);

    problem(change("a wrong password", NEW), 422, "invalid_parameters").await;
    problem(change(PASSWORD, "short"), 422, "password_unacceptable").await;
    problem(change(PASSWORD, "password1"), 422, "password_unacceptable").await;
    problem(change(PASSWORD, "grace@example.com"), 422, "password_unacceptable").await;
    assert!(live.lives(&other).await, "nothing was changed yet");
    done(change(PASSWORD, NEW)).await;
    assert!(live.lives(&own).await && !live.lives(&other).await);
    problem(change(PASSWORD, "yet another password"), 422, "invalid_parameters").await;
    problem(live.try_in("grace", PASSWORD), 401, "invalid_credentials").await;
    done(live.try_in("grace", NEW)).await;
    assert_eq!(live.received("password_notice", 1).await.len(), 1);
    live.stop().await;
}

#[actix_web::test]
async fn an_app_finishes_a_reset_by_its_token() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    let before = live.enter("grace", &[]).await;
    live.ask_reset("grace").await;
    let token = live.reset_token().await;
    let finish = |password| live.put_password(&[("reset_token", &token), ("password", password)]);

    problem(finish("password1"), 422, "password_unacceptable").await;
    assert!(live.lives(&before).await, "a refused password costs neither the link nor a session");
    live.later(61);
    live.ask_reset("grace").await;
    live.received("reset_link", 2).await;
    assert_eq!(live.reset_token().await, token, "asking again sends the same link");
    done(finish(NEW)).await;
    assert!(!live.lives(&before).await);
    problem(finish("yet another password"), 422, "reset_token_invalid").await;
    problem(live.try_in("grace", PASSWORD), 401, "invalid_credentials").await;
    done(live.try_in("grace", NEW)).await;
    assert_eq!(live.received("password_notice", 1).await.len(), 1);

    live.later(61);
    live.ask_reset("grace").await;
    live.received("reset_link", 3).await;
    let next = live.reset_token().await;
    assert_ne!(next, token, "a used link is not sent again");
    live.later(30 * 60);
    let late = live.put_password(&[("reset_token", &next), ("password", PASSWORD)]);
    problem(late, 422, "reset_token_invalid").await;
    live.stop().await;
}

#[actix_web::test]
async fn a_number_is_confirmed_by_the_code_that_was_sent_to_it() {
    let live = Live::start().await;
    let user = live.add_user("grace", PASSWORD).await;
    let token = live.enter("grace", &[]).await;
    let post = |path: &str, pair| live.call(Method::POST, &format!("/settings/{path}"), &token).form(&[pair]);
    let send = |phone| post("send_phone_verification", ("phone", phone));
    let verify = |code| post("verify_phone", ("token", code));

    problem(verify("123456"), 422, "code_invalid").await;
    problem(send("+18765550123"), 422, "region_not_allowed").await;
    for impossible in ["12", "+999 123456789", "call me"] {
        let answer = problem(send(impossible), 422, "invalid_parameters").await;
        assert!(answer["errors"]["phone"].is_array(), "{answer}");
    }
    done(send("(212) 555-0123")).await;
    let text = live.received("phone_code", 1).await.swap_remove(0);
    let code = text.split_whitespace().next().expect("the code comes first").to_owned();
    assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()), "{text}");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    problem(verify(wrong), 422, "code_invalid").await;
    live.later(31);
    done(send("+1 212 555 0123")).await;
    assert!(live.received("phone_code", 2).await[0].starts_with(&code), "a late SMS must not be void");
    done(verify(&code)).await;
    problem(verify(&code), 422, "code_invalid").await;
    let stored = live.accounts().await.user(user).await.expect("the store answers").expect("an account");
    assert_eq!(stored.phone.expect("a number").as_str(), "+12125550123");

    // A code has five guesses, however often it is sent. Then nothing works until it has expired.
    live.later(600);
    done(send("+12125550199")).await;
    for _ in 0..5 {
        problem(verify("no digits"), 422, "code_invalid").await;
    }
    problem(verify("no digits"), 429, "too_many_attempts").await;
    live.later(31);
    problem(send("+12125550199"), 429, "too_many_attempts").await;
    live.later(570);
    done(send("+12125550199")).await;
    live.stop().await;
}

#[actix_web::test]
async fn nothing_of_a_disabled_account_works_and_nobody_can_tell() {
    let live = Live::start().await;
    let user = live.add_user("grace", PASSWORD).await;
    let token = live.enter("grace", &[]).await;
    live.ask_reset("grace").await;
    let link = live.reset_token().await;
    let phone = [("phone", "+12125550123")];
    done(live.call(Method::POST, "/settings/send_phone_verification", &token).form(&phone)).await;
    let text = live.received("phone_code", 1).await.swap_remove(0);
    let code = [("token", text.split_whitespace().next().expect("a code"))];

    live.accounts().await.disable_user(user).await.expect("the store answers").expect("an account");
    let shown = |mut answer: serde_json::Value| {
        answer["request_id"] = "".into();
        answer
    };
    let right = shown(problem(live.try_in("grace", PASSWORD), 401, "invalid_credentials").await);
    let wrong = shown(problem(live.try_in("grace", "a wrong password"), 401, "invalid_credentials").await);
    let nobody = shown(problem(live.try_in("nobody", PASSWORD), 401, "invalid_credentials").await);
    assert!(right == wrong && wrong == nobody);
    problem(live.put_password(&[("reset_token", &link), ("password", NEW)]), 422, "reset_token_invalid").await;
    eventually("the session ends", async || !live.lives(&token).await).await;
    live.later(61);
    live.ask_reset("grace").await;

    // Enabling the account restores none of its sessions, links and codes.
    live.accounts().await.enable_user(user).await.expect("the store answers");
    assert!(!live.lives(&token).await);
    problem(live.put_password(&[("reset_token", &link), ("password", NEW)]), 422, "reset_token_invalid").await;
    let again = live.enter("grace", &[]).await;
    problem(live.call(Method::POST, "/settings/verify_phone", &again).form(&code), 422, "code_invalid").await;
    assert_eq!(live.received("reset_link", 1).await.len(), 1, "nobody is mailed while disabled");
    assert_eq!(json(live.request(Method::GET, "/health/ready")).await.0, 200);
    live.stop().await;
}

/// bcrypt of `portcullis` at cost 4 by libxcrypt, in the form of a Rails service.
const BCRYPT: &str = "$2a$04$KXlu0s7bBd0u7JHbOFq9uebiJSdjEBZwx/UR7DPerVhWYnKyrLbLC";

#[actix_web::test]
async fn a_legacy_hash_signs_in_and_is_replaced_by_one_of_today() {
    let live = Live::start().await;
    let user = live.add_user_of("grace", BCRYPT.to_owned()).await;
    let stored = async || {
        let user = live.accounts().await.user(user).await.expect("the store answers");
        user.expect("an account").password_hash
    };
    problem(live.try_in("grace", "Portcullis"), 401, "invalid_credentials").await;
    assert_eq!(stored().await, BCRYPT, "a wrong password replaces nothing");
    done(live.try_in("grace", "portcullis")).await;
    let upgraded = stored().await;
    assert!(upgraded.starts_with("$argon2id$"), "{upgraded}");
    done(live.try_in("grace", "portcullis")).await;
    assert_eq!(stored().await, upgraded, "once");
    live.stop().await;
}

#[actix_web::test]
async fn messages_are_in_the_language_of_the_last_sign_in_that_said_one() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    live.enter("grace", &[("locale", "es-MX")]).await;
    live.enter("grace", &[]).await;
    live.enter("grace", &[("locale", "fr")]).await;
    live.ask_reset("grace").await;
    let mail = live.received("reset_link", 1).await.swap_remove(0);
    assert!(mail.contains("contraseña"), "{mail}");
    live.later(61);
    live.enter("grace", &[("locale", "en")]).await;
    live.ask_reset("grace").await;
    let mail = live.received("reset_link", 2).await.swap_remove(0);
    assert!(mail.contains("password") && !mail.contains("contraseña"), "{mail}");
    live.stop().await;
}
