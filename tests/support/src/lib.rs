//! The test kit: real servers on free ports, the users and applications that tests start from, and one way to wait.
//!
//! A server of the kit has a temporary folder of its own and ends when it is dropped. `browser`, `collector`, `gate`,
//! `haproxy`, `http`, `postgres`, `proxy`, `redis`, `sentinel`, `sms`, `smtp` and `tools` contain nothing of Portcullis; `accounts`, `deliveries`,
//! `live`, `server` and `stores` do.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

pub mod accounts;
pub mod browser;
pub mod clocks;
pub mod collector;
pub mod deliveries;
pub mod gate;
pub mod haproxy;
pub mod http;
pub mod live;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod redis_cluster;
pub mod sentinel;
pub mod server;
pub mod sms;
pub mod smtp;
pub mod stores;
pub mod tools;
pub mod wait;

use portcullis::config::{Config, Profile, Sources};

/// The configuration of `config/default.toml`. Tests take policies from here, and change only the values they test.
///
/// # Panics
/// When the defaults are invalid.
pub fn defaults() -> Config {
    // The profile that changes none of the policies.
    Config::load(&Sources::of(Profile::Development)).expect("the defaults are valid")
}

/// A client that follows no redirect and uses no proxy.
///
/// # Panics
/// When the system gives it no resources.
pub fn http_client() -> reqwest::Client {
    // An error means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    client.build().expect("a client")
}

/// The status of an answer, and its body.
///
/// # Panics
/// When there is no answer, or its body is no JSON.
pub async fn json(request: reqwest::RequestBuilder) -> (u16, serde_json::Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.expect("a text")).expect("JSON"))
}
