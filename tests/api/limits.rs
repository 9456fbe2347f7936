//! Limits as a client sees them, through the whole server: statuses and `Retry-After`. The budgets themselves are tested
//! with the actors, on every pair of stores.

use super::app::{json, refusal};
use super::journey::done;
use super::live::Live;
use portcullis_actors::domain::KeyScope;
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::wait::eventually;
use reqwest::{Method, RequestBuilder};
use std::ops::RangeInclusive;

const WRONG: &str = "a wrong password";
const PHONE: (&str, &str) = ("device_token", "her phone");

impl Live {
    fn try_from(&self, address: &str, name: &str, password: &str, device: Option<(&str, &str)>) -> RequestBuilder {
        let email = format!("{name}@example.com");
        let mut pairs = vec![("email", email.as_str()), ("password", password), ("mobile_os", "ios")];
        pairs.extend(device);
        self.request(Method::POST, "/api/v1/tokens").header("x-forwarded-for", address).form(&pairs)
    }

    /// A wrong password that is verified.
    async fn fail(&self, address: &str, name: &str) {
        let response = self.try_from(address, name, WRONG, None).send().await.expect("an answer");
        refusal(response, 401, "invalid_credentials").await;
    }

    fn send_code(&self, address: &str, credential: &str, phone: &str) -> RequestBuilder {
        let call = self.call(Method::POST, "/settings/send_phone_verification", credential);
        call.header("x-forwarded-for", address).form(&[("phone", phone)])
    }

    async fn ask_mail(&self, address: &str, name: &str) -> String {
        let pairs = [("email", format!("{name}@example.com"))];
        let request = self.request(Method::POST, "/api/v1/tokens/reset").header("x-forwarded-for", address);
        done(request.form(&pairs)).await.to_string()
    }
}

/// Demands a 429 with this code and so many seconds in `Retry-After`.
async fn held(request: RequestBuilder, code: &str, seconds: RangeInclusive<u64>) {
    let response = request.send().await.expect("an answer");
    let header = response.headers().get("retry-after").expect("Retry-After").to_str().expect("text").to_owned();
    refusal(response, 429, code).await;
    let asked: u64 = header.parse().expect("seconds");
    assert!(seconds.contains(&asked), "{asked} is not within {seconds:?}");
}

fn stranger(n: usize) -> String {
    format!("203.0.113.{n}")
}

#[actix_web::test]
async fn wrong_passwords_are_free_five_times_and_then_wait_twice_as_long_each_time() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    for name in ["grace", "nobody"] {
        for n in 0..6 {
            live.fail(&stranger(n), name).await;
        }
        for (n, wait) in (6..).zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]) {
            // Short waits may be over before a busy machine has asked again.
            if wait >= 16 {
                held(live.try_from(&stranger(n), name, PASSWORD, None), "too_many_attempts", wait - 12..=wait).await;
            }
            live.later(wait);
            live.fail(&stranger(n), name).await;
        }
    }
    live.later(900);
    done(live.try_from(&stranger(1), "grace", PASSWORD, None)).await;
    live.fail(&stranger(1), "grace").await;
    done(live.try_from(&stranger(1), "grace", PASSWORD, None)).await;
    live.stop().await;
}

#[actix_web::test]
async fn an_address_fails_twenty_times_and_the_owners_phone_is_held_by_nobody() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    done(live.try_from("192.0.2.1", "grace", PASSWORD, Some(PHONE))).await;
    for n in 0..20 {
        done(live.try_from("192.0.2.9", "grace", PASSWORD, None)).await;
        live.fail("192.0.2.9", &format!("nobody{n}")).await;
    }
    held(live.try_from("192.0.2.9", "grace", PASSWORD, None), "too_many_attempts", 500..=600).await;
    // The address is the right-most that is not a proxy of ours; what stands left of it, anybody can write.
    held(live.try_from("192.0.2.50, 192.0.2.9", "grace", PASSWORD, None), "too_many_attempts", 500..=600).await;
    done(live.try_from("192.0.2.9", "grace", PASSWORD, Some(PHONE))).await;

    for n in 0..12 {
        live.fail(&stranger(n), "grace").await;
        live.later(64);
    }
    live.fail(&stranger(12), "grace").await;
    held(live.try_from("192.0.2.1", "grace", PASSWORD, None), "too_many_attempts", 20..=128).await;
    done(live.try_from("192.0.2.1", "grace", PASSWORD, Some(PHONE))).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_hundred_wrong_passwords_in_a_row_leave_only_a_reset() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    for n in 0..100 {
        live.fail(&stranger(n), "grace").await;
        live.later(900);
    }
    live.later(86_400);
    held(live.try_from("192.0.2.1", "grace", PASSWORD, None), "too_many_attempts", 86_400..=86_400).await;
    live.ask_mail("192.0.2.1", "grace").await;
    let mail = live.received("reset_link", 1).await.swap_remove(0);
    let (_, token) = mail.split_once("/password/reset/").expect("a link");
    let token = token.split_whitespace().next().expect("a token");
    let new = "an umbrella for the moon";
    done(live.request(Method::PUT, "/api/v1/password").form(&[("reset_token", token), ("password", new)])).await;
    done(live.try_from("192.0.2.1", "grace", new, None)).await;
    live.stop().await;
}

/// Two keys of 32 bytes, in base64.
const FIRST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECOND: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

#[actix_web::test]
async fn a_rotation_of_the_secret_keys_starts_no_budget_afresh() {
    let live = Live::start_with(&[("secrets.keys", FIRST)]).await;
    live.add_user("grace", PASSWORD).await;
    for name in ["grace", "nobody"] {
        for n in 0..6 {
            live.fail(&stranger(n), name).await;
        }
        // Long enough a wait that the restart does not outlast it.
        for wait in [1, 2, 4, 8, 16, 32, 64, 128] {
            live.later(wait);
            live.fail(&stranger(7), name).await;
        }
    }
    let live = live.restart_with(&[("secrets.keys", &format!("{SECOND},{FIRST}"))]).await;
    for name in ["grace", "nobody"] {
        let tried = live.try_from(&stranger(8), name, WRONG, None).send().await.expect("an answer");
        refusal(tried, 429, "too_many_attempts").await;
    }
    live.stop().await;
}

#[actix_web::test]
async fn a_stolen_token_buys_no_guesses_at_the_password() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    let token = live.enter("grace", &[]).await;
    let pairs = [("current_password", WRONG), ("password", "an umbrella for the moon")];
    let change = || live.call(Method::PUT, "/password", &token).form(&pairs);
    for _ in 0..9 {
        let problem = refusal(change().send().await.expect("an answer"), 422, "invalid_parameters").await;
        assert_eq!(problem["errors"]["current_password"][0], "is not the current password");
        live.later(64);
    }
    refusal(change().send().await.expect("an answer"), 422, "invalid_parameters").await;
    held(change(), "too_many_attempts", 2500..=3600).await;
    held(live.try_from("192.0.2.1", "grace", PASSWORD, None), "too_many_attempts", 1..=16).await;
    live.stop().await;
}

#[actix_web::test]
async fn codes_are_sent_again_after_longer_waits_and_a_key_has_a_budget_of_its_own() {
    let live = Live::start().await;
    let owner = live.add_user("grace", PASSWORD).await;
    let token = live.enter("grace", &[]).await;
    let key = live.add_key("beyondvip", owner, &[KeyScope::OwnerAct]).await;
    done(live.send_code("192.0.2.1", &token, "+12125550100")).await;
    for wait in [30, 60, 120, 300] {
        held(live.send_code("192.0.2.1", &token, "+12125550100"), "too_many_messages", wait - 20..=wait).await;
        live.later(wait);
        done(live.send_code("192.0.2.1", &token, "+12125550100")).await;
    }
    // This number has had five codes in ten minutes. The first was sent 510 seconds ago.
    live.later(40);
    live.add_user("alan", PASSWORD).await;
    let other = live.enter("alan", &[]).await;
    held(live.send_code("192.0.2.2", &other, "+12125550100"), "too_many_messages", 20..=50).await;

    live.later(3600);
    for n in 0..20 {
        live.add_user(&format!("sender{n}"), PASSWORD).await;
        let token = live.enter(&format!("sender{n}"), &[]).await;
        done(live.send_code("192.0.2.3", &token, &format!("+1312555{:04}", 100 + n))).await;
    }
    held(live.send_code("192.0.2.3", &token, "+13125550199"), "too_many_messages", 3000..=3600).await;
    live.later(300);
    done(live.send_code("192.0.2.3", &key, "+13125550199")).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_block_of_numbers_and_all_numbers_together_have_a_budget() {
    let live = Live::start_with(&[("phone_codes.per_prefix_hour", "3"), ("phone_codes.total_hour", "5")]).await;
    let mut tokens = Vec::new();
    for n in 0..8 {
        live.add_user(&format!("sender{n}"), PASSWORD).await;
        tokens.push(live.enter(&format!("sender{n}"), &[]).await);
    }
    let send = |n: usize, phone: &str| live.send_code(&stranger(n), &tokens[n], phone);
    for (n, phone) in ["+12125550100", "+12125550101", "+12125550102"].into_iter().enumerate() {
        done(send(n, phone)).await;
    }
    held(send(3, "+12125550103"), "too_many_messages", 3000..=3600).await;
    done(send(4, "+13125550104")).await;
    done(send(5, "+13125550105")).await;
    held(send(6, "+14155550106"), "too_many_messages", 3000..=3600).await;
    live.later(3600);
    done(send(7, "+12125550107")).await;
    live.stop().await;
}

#[actix_web::test]
async fn reset_mails_over_their_limits_are_not_sent_and_nobody_is_told() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    let answer = live.ask_mail("192.0.2.1", "grace").await;
    for _ in 0..8 {
        assert_eq!(live.ask_mail("192.0.2.1", "grace").await, answer, "a minute apart");
        assert_eq!(live.ask_mail("192.0.2.1", "nobody").await, answer, "nobody has it");
        live.later(60);
        assert_eq!(live.ask_mail("192.0.2.1", "grace").await, answer, "five an hour");
    }
    // The mail that is requested last arrives last, apart from those that are sent at the same time.
    live.add_user("alan", PASSWORD).await;
    live.ask_mail("192.0.2.2", "alan").await;
    let arrived = async |name: &str| {
        let (_, inbox) = json(live.request(Method::GET, "/dev/inbox.json")).await;
        let to = format!("{name}@example.com");
        inbox.as_array().expect("a list").iter().filter(|item| item["to"] == to.as_str()).count()
    };
    eventually("all arrive", async || arrived("alan").await > 0 && arrived("grace").await >= 5).await;
    assert_eq!((arrived("grace").await, arrived("nobody").await), (5, 0));
    live.stop().await;
}
