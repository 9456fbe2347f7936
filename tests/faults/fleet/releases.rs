//! The previous release beside this one, on one PostgreSQL and one Redis, as during an upgrade and after a roll-back:
//! every call of the API, each on the other node than the one before.

use super::{APP, Fleet, PASSWORD, check, set_password, sign_in, try_sign_in};
use crate::http::{Answer, call};
use crate::inbox;
use portcullis_testkit::accounts::address;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::{Server, Setup};
use portcullis_testkit::tools::previous_release;
use portcullis_testkit::wait::eventually_blocking;
use serde_json::{Value, json};
use std::cell::Cell;

const NEW: &str = "a-new-staple-5527";
const NEWER: &str = "another-staple-5528";

/// A node of the previous release.
pub(super) fn previous(fleet: &Fleet) -> Setup {
    Setup { binary: previous_release(), ..fleet.node("previous") }
}

fn restarted(setup: &Setup, mut server: Server) -> Server {
    server.terminate().expect("it runs");
    assert!(server.ended().0.success(), "it stops in good order");
    setup.start().unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_release_and_this_one_serve_side_by_side() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    // This release makes the schema, and is gone: an upgrade that stopped half-way, or a roll-back.
    let fleet = Fleet::new(&redis.url(), database.url());
    let (old, new) = (previous(&fleet), fleet.node("head"));
    let before = old.start().expect("the previous release starts on the newer schema");
    journey(&fleet, [&before, &before], "grace");
    let token = sign_in(&before, "grace", NEWER);

    let after = new.start().expect("starts");
    journey(&fleet, [&before, &after], "ada");
    assert_eq!(check(&after, &token), 200, "who was signed in stays so");

    let (before, after) = (restarted(&old, before), restarted(&new, after));
    journey(&fleet, [&after, &before], "alan");
    assert_eq!((check(&before, &token), check(&after, &token)), (200, 200));
    drop(after);
    journey(&fleet, [&before, &before], "annie");
    assert_eq!(check(&before, &token), 200, "whoever rolls back signs nobody out");
}

/// Every call of the API, once or more.
fn journey(fleet: &Fleet, nodes: [&Server; 2], name: &str) {
    let user = fleet.user(name);
    let scopes = ["tokens:introspect", "devices:read", "sessions:revoke", "users:read", "users:write"];
    let owner = user.to_string();
    let key = [&["keys", "add", "--app", APP, "--owner", &owner, "--scope"][..], &scopes].concat();
    let key = fleet.run(&key, "")["key"].as_str().expect("shown once").to_owned();
    let journey = Journey { nodes, turn: Cell::default(), user, name, key };
    journey.sessions();
    journey.devices();
    journey.back_end();
    journey.phone();
    journey.passwords();
    journey.people();
}

struct Journey<'a> {
    nodes: [&'a Server; 2],
    turn: Cell<usize>,
    user: i64,
    name: &'a str,
    key: String,
}

impl Journey<'_> {
    /// The other node than last time.
    fn node(&self) -> &Server {
        self.turn.set(self.turn.get() + 1);
        self.nodes[self.turn.get() % 2]
    }

    fn ask(&self, method: &str, path: &str, bearer: &str, form: &str) -> Answer {
        call(self.node().address(), method, &format!("/api/v1{path}"), bearer, form).expect("answered")
    }

    /// The answer of a call that must succeed.
    fn done(&self, method: &str, path: &str, bearer: &str, form: &str) -> Value {
        let answer = self.ask(method, path, bearer, form);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn enter(&self, more: &str) -> String {
        let form = format!("email={}&password={PASSWORD}{more}", address(self.name));
        self.done("POST", "/tokens", "", &form)["token"].as_str().expect("a token").to_owned()
    }

    fn lives(&self, token: &str) -> bool {
        self.nodes.iter().all(|node| check(node, token) == 200)
    }

    fn is_over(&self, token: &str) {
        eventually_blocking("both refuse it", || self.nodes.iter().all(|node| check(node, token) == 401));
    }

    fn list(&self, path: &str, bearer: &str) -> Vec<Value> {
        self.done("GET", path, bearer, "").as_array().expect("a list").clone()
    }

    fn delivered(&self, to: &str, find: impl Fn(&str) -> Option<String>) -> String {
        inbox::delivered(&self.nodes, to, find)
    }

    fn sessions(&self) {
        let (own, other) = (self.enter("&device_token=phone&mobile_os=ios"), self.enter(""));
        let again = self.enter("&device_token=phone&mobile_os=ios");
        self.is_over(&own);
        assert!(self.lives(&other) && self.lives(&again), "the same device replaces its own session alone");
        let listed = self.list("/sessions", &again);
        assert_eq!(listed.len(), 2);
        let id = listed.iter().find(|session| session["current"] == false).expect("the other one")["id"].clone();
        self.done("DELETE", &format!("/sessions/{}", id.as_str().expect("an id")), &again, "");
        self.is_over(&other);

        let others = [self.enter(""), self.enter("")];
        assert_eq!(self.list("/sessions", &others[0]).len(), 3);
        self.done("DELETE", "/sessions", &again, "others=true");
        others.iter().for_each(|token| self.is_over(token));
        assert!(self.lives(&again));
        let more = self.enter("");
        self.done("DELETE", "/sessions", &again, "");
        [&again, &more].iter().for_each(|token| self.is_over(token));

        let last = self.enter("");
        let forwarded = call(self.node().address(), "GET", "/gateway/forward", &last, "").expect("answered");
        assert_eq!(forwarded.status, 200, "a proxy may ask either");
        self.done("DELETE", &format!("/tokens/{}", self.user), &last, "");
        self.is_over(&last);
        assert_eq!(self.ask("GET", "/sessions", &last, "").status, 401);
    }

    fn devices(&self) {
        let push = format!("push-of-{}", self.name);
        let token = self.enter(&format!("&device_token=phone&mobile_os=ios&apn_token={push}"));
        let of_user = format!("/users/{}/devices", self.user);
        assert_eq!(self.list(&of_user, &self.key)[0]["apn_token"], *push);
        self.done("PUT", "/devices/tablet", &token, &format!("mobile_os=android&apn_token={push}-2"));
        assert_eq!(self.list("/devices", &token).len(), 2);
        self.done("DELETE", "/devices/tablet", &token, "");
        assert_eq!(self.list(&of_user, &self.key).len(), 1);
        self.done("DELETE", &format!("/tokens/{}", self.user), &token, &format!("apn_token={push}"));
        self.is_over(&token);
        assert_eq!(self.list(&of_user, &self.key), Vec::<Value>::new());
    }

    fn back_end(&self) {
        let token = self.enter("");
        let asks = || self.done("POST", "/tokens/introspect", &self.key, &format!("token={token}"));
        assert_eq!((asks()["active"].clone(), asks()["client_id"].clone()), (json!(true), json!(APP)));
        self.done("DELETE", &format!("/users/{}/sessions", self.user), &self.key, "");
        self.is_over(&token);
        assert_eq!((asks(), asks()), (json!({"active": false}), json!({"active": false})));
    }

    fn phone(&self) {
        let token = self.enter("");
        let number = format!("+1212555{:04}", 100 + self.user);
        self.done("POST", "/settings/send_phone_verification", &token, &format!("phone=%2B{}", &number[1..]));
        let code = self.delivered(&number, inbox::code);
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let verify = |code: &str| self.ask("POST", "/settings/verify_phone", &token, &format!("token={code}")).status;
        assert_eq!((verify(wrong), verify(&code), verify(&code)), (422, 200, 422));
        for _ in self.nodes {
            assert_eq!(self.done("GET", "/me", &token, "")["phone"], *number);
        }
    }

    fn passwords(&self) {
        let (own, other) = (self.enter(""), self.enter(""));
        self.done("POST", "/tokens/reset", "", &format!("email={}", address(self.name)));
        let reset = self.delivered(&address(self.name), inbox::reset_token);
        let page = call(self.node().address(), "GET", &format!("/password/reset/{reset}"), "", "").expect("answered");
        assert_eq!(page.status, 200);
        assert!(self.lives(&own));
        self.done("PUT", "/password", "", &format!("reset_token={reset}&password={NEW}"));
        [&own, &other].iter().for_each(|token| self.is_over(token));
        for node in self.nodes {
            assert_eq!(set_password(node, &reset, NEWER).status, 422, "a link is used up everywhere");
            assert_eq!(try_sign_in(node, self.name, PASSWORD).status, 401);
        }
        let (own, other) = (sign_in(self.node(), self.name, NEW), sign_in(self.node(), self.name, NEW));
        self.done("PUT", "/password", &own, &format!("current_password={NEW}&password={NEWER}"));
        self.is_over(&other);
        assert!(self.lives(&own), "who knows the password stays signed in");
        assert_eq!(try_sign_in(self.node(), self.name, NEW).status, 401);
        sign_in(self.node(), self.name, NEWER);
        self.delivered(&address(self.name), |text| (!text.contains("/password/reset/")).then(|| text.to_owned()));
    }

    fn people(&self) {
        let invited = format!("friend-of-{}", self.name);
        let form = format!("email={}&first_name=Mary&last_name=Ward", address(&invited));
        let id = self.done("POST", "/users", &self.key, &form)["id"].as_i64().expect("a number");
        let invitation = self.delivered(&address(&invited), inbox::reset_token);
        self.done("PUT", "/password", "", &format!("reset_token={invitation}&password={PASSWORD}"));
        let token = sign_in(self.node(), &invited, PASSWORD);
        let found = self.done("GET", &format!("/users?email={}", address(&invited)), &self.key, "");
        assert_eq!((&found["id"], &found["first_name"]), (&json!(id), &json!("Mary")));
        let path = format!("/users/{id}");
        self.done("PATCH", &path, &self.key, "last_name=Wards");
        assert_eq!(self.done("GET", &path, &self.key, "")["last_name"], "Wards");
        self.done("DELETE", &path, &self.key, "");
        self.is_over(&token);
        assert_eq!(
            (self.ask("GET", &path, &self.key, "").status, self.ask("GET", &path, &self.key, "").status),
            (404, 404)
        );
    }
}
