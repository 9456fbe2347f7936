//! `users sign-out|set-password|delete` while a server runs: sessions end at once, and nothing is left of a deleted user.

use super::shell::Shell;
use portcullis_testkit::accounts::{PASSWORD, check};
use portcullis_testkit::http_client;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually;
use serde_json::{Value, json};

const ADDRESS: &str = "grace@example.com";

struct Scene {
    shell: Shell,
    server: Server,
    client: reqwest::Client,
}

impl Scene {
    fn new(shell: Shell) -> Self {
        let server = shell.serve();
        Self { shell, server, client: http_client() }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let url = self.server.url(&format!("/api/v1{path}"));
        let answer = self.client.post(url).form(form).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn sign_in(&self, password: &str) -> Result<String, u16> {
        let device = [("device_token", "grace-phone"), ("mobile_os", "ios"), ("apn_token", "grace-push")];
        let form = [&[("email", ADDRESS), ("password", password)][..], &device].concat();
        match self.post("/tokens", &form).await {
            (200, answer) => Ok(answer["token"].as_str().expect("a token").to_owned()),
            (status, _) => Err(status),
        }
    }

    async fn check(&self, token: &str) -> u16 {
        check(&self.server.url(""), token).await
    }

    async fn mails(&self) -> Vec<Value> {
        let url = self.server.url("/dev/inbox.json");
        let inbox: Value = self.client.get(url).send().await.expect("an answer").json().await.expect("JSON");
        let mails = inbox.as_array().or(inbox["messages"].as_array()).cloned().expect("a list");
        mails.into_iter().filter(|mail| mail["to"] == ADDRESS).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_and_a_new_password_end_what_there_is() {
    let scene = Scene::new(Shell::new("development"));
    let id = scene.shell.user(ADDRESS);
    let token = scene.sign_in(PASSWORD).await.expect("signs in");
    let shown = scene.shell.json(&["users", "show", ADDRESS]);
    assert_eq!(shown["sessions"][0]["device_token"], "grace-phone");
    assert_eq!(
        (&shown["devices"][0]["device_token"], &shown["devices"][0]["push"]),
        (&json!("grace-phone"), &json!(true))
    );
    let text = scene.shell.run(&["users", "show", ADDRESS]).out;
    assert!(text.contains("grace-phone") && !text.contains("grace-push"), "{text}");

    let answer = scene.shell.json(&["users", "sign-out", ADDRESS]);
    assert_eq!(answer, json!({"id": id, "ended": true}));
    eventually("the session ends", async || scene.check(&token).await == 401).await;
    assert_eq!(scene.shell.json(&["users", "show", ADDRESS])["sessions"], json!([]));

    let token = scene.sign_in(PASSWORD).await.expect("signs in again");
    let set = ["users", "set-password", ADDRESS, "--password-stdin"];
    for weak in ["short", "password123", ADDRESS] {
        scene.shell.refused_with(&set, weak);
    }
    assert_eq!(scene.check(&token).await, 200, "what is refused changes nothing");
    let answer = scene.shell.json_with(&set, "a new staple 5527\n");
    assert_eq!(answer, json!({"id": id, "password_set": true, "ended": true}));
    eventually("the session ends", async || scene.check(&token).await == 401).await;
    assert_eq!(scene.sign_in(PASSWORD).await, Err(401));
    assert!(scene.sign_in("a new staple 5527").await.is_ok());
    eventually("a notice arrives", async || scene.mails().await.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_who_is_deleted() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let shell = Shell::new("development").with("redis.url", &redis.url()).with("database.url", database.url());
    let scene = Scene::new(shell);
    // A reset is requested before there is an account, and again later.
    assert_eq!(scene.post("/tokens/reset", &[("email", ADDRESS)]).await.0, 200);
    let id = scene.shell.user(ADDRESS);
    let owner = id.to_string();
    scene.shell.json(&["keys", "add", "--app", "beyondvip", "--owner", &owner, "--scope", "owner:act"]);
    let token = scene.sign_in(PASSWORD).await.expect("signs in");
    assert_eq!(scene.sign_in("wrong").await, Err(401));
    let phone = [("auth_token", token.as_str()), ("phone", "(212)555-0147")];
    assert_eq!(scene.post("/settings/send_phone_verification", &phone).await.0, 200);

    let personal = [ADDRESS, "Grace", "Hopper", "grace-phone", "grace-push", "2125550147"];
    let dump = database.dump();
    for text in personal {
        assert!(dump.contains(text), "{text} was there");
    }
    let answer = scene.shell.json(&["users", "delete", ADDRESS]);
    assert_eq!(answer, json!({"id": id, "deleted": true, "ended": true}));
    eventually("the session ends", async || scene.check(&token).await == 401).await;
    assert_eq!(scene.sign_in(PASSWORD).await, Err(401));
    assert!(scene.shell.refused(&["users", "show", &owner]).contains("no such user"));
    let dump = database.dump();
    for text in personal {
        assert!(!dump.contains(text), "{text} is left");
    }
    for key in ["phone", "reset"] {
        let there = redis.command(&["EXISTS", &format!("pc:{{{id}}}:{key}")]).await.expect("answers");
        assert_eq!(there, ":0", "{key}");
    }
    let fields = redis.command(&["HLEN", &format!("pc:{{{id}}}:sessions")]).await.expect("answers");
    assert_eq!(fields, ":1", "the epoch alone: who signs in at this moment comes too late");
    assert_ne!(scene.shell.user(ADDRESS), id, "a number is given once");
}

#[test]
fn what_has_not_ended_is_not_said_to_have() {
    let shell = Shell::new("loadtest");
    let id = shell.user(ADDRESS);
    let shell = shell.with("redis.url", "redis://127.0.0.1:1").with("redis.timeout_ms", "250");
    let ended = shell.run(&["users", "disable", ADDRESS]);
    assert_eq!(ended.code, 0, "it is disabled: {}", ended.err);
    assert!(ended.out.contains("not yet") && !ended.out.contains("have ended"), "{}", ended.out);
    assert_eq!(shell.json(&["users", "sign-out", ADDRESS]), json!({"id": id, "ended": false}));
    assert_eq!(shell.json(&["users", "delete", ADDRESS]), json!({"id": id, "deleted": true, "ended": false}));
}
