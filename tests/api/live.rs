//! The whole server, as `serve` starts it under the development profile, in a temporary folder of its own.

use portcullis::config::{Config, Profile, Sources};
use portcullis::{Environment, Server, Stopper};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;

/// A running server.
pub struct Live {
    pub url: String,
    pub client: Client,
    stopper: Stopper,
    _folder: TempDir,
}

impl Live {
    /// With the demo data and an inbox, on a free port.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = format!("sqlite://{}", folder.path().join("portcullis.db").display());
        let sources = Sources::of(Profile::Development)
            .with("server.bind", "127.0.0.1:0")
            .with("server.workers", "1")
            // A busy machine is no fault of the server's.
            .with("database.timeout_ms", "20000")
            .with("hashing.max_wait_ms", "20000")
            .with("database.url", database);
        let config = Config::load(&sources).expect("a configuration");
        let server = Server::build(config, Environment::default()).await.expect("a server");
        let (url, stopper) = (format!("http://{}", server.address()), server.stopper());
        actix_web::rt::spawn(server.run());
        Self { url, client: super::app::client(), stopper, _folder: folder }
    }

    /// A request to a path of the server.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Signs the demo user in: the status and the answer.
    pub async fn sign_in(&self, password: &str) -> (u16, Value) {
        let pairs = [("email", "admin@beyondvip.com"), ("password", password)];
        super::app::json(self.request(Method::POST, "/api/v1/tokens").form(&pairs)).await
    }

    /// The texts of the messages of this kind, once there is one.
    pub async fn received(&self, kind: &str) -> Vec<String> {
        for _ in 0..600 {
            let (_, items) = super::app::json(self.request(Method::GET, "/dev/inbox.json")).await;
            let of_kind = items.as_array().expect("a list").iter().filter(|item| item["kind"] == kind);
            let texts: Vec<_> = of_kind.map(|item| item["text"].as_str().expect("a text").to_owned()).collect();
            if !texts.is_empty() {
                return texts;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no {kind} arrived within 30 s");
    }

    /// Ends it.
    pub async fn stop(self) {
        self.stopper.stop_now().await;
    }
}
