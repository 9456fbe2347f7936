//! The whole server, as `serve` starts it under the development profile, in a temporary folder of its own.

use portcullis::config::{Config, Profile, Sources};
use portcullis::{Server, Stopper};
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{KeyScope, ServerKey, UserId};
use portcullis_actors::hashing::{HashingPolicy, HashingPool};
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{AccountStore as _, Created, NewApplication, NewKey, NewUser};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A running server.
pub struct Live {
    pub url: String,
    pub client: Client,
    pub clock: Arc<ShiftedClock>,
    stopper: Stopper,
    database: String,
    folder: TempDir,
}

impl Live {
    /// With the demo data and an inbox, on a free port. Clients say by `X-Forwarded-For` where they are.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with other settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), settings).await
    }

    /// Stops it and starts another one over what it has left, with other settings.
    pub async fn restart_with(self, settings: &[(&str, &str)]) -> Self {
        self.stopper.stop_now().await;
        Self::start_in(self.folder, settings).await
    }

    async fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let database = format!("sqlite://{}", folder.path().join("portcullis.db").display());
        let mut sources = Sources::of(Profile::Development)
            .with("server.bind", "127.0.0.1:0")
            .with("server.workers", "1")
            .with("server.trusted_proxies", "127.0.0.0/8")
            // A busy machine is no fault of the server's.
            .with("database.timeout_ms", "20000")
            .with("hashing.max_wait_ms", "20000")
            .with("hashing.memory_kib", "64")
            .with("database.url", database.as_str());
        for (key, value) in settings {
            sources = sources.with(key, *value);
        }
        let config = Config::load(&sources).expect("a configuration");
        let clock = Arc::new(ShiftedClock::default());
        let server = Server::build(config, clock.clone()).await.expect("a server");
        let (url, stopper) = (format!("http://{}", server.address()), server.stopper());
        actix_web::rt::spawn(server.run());
        Self { url, client: super::app::client(), clock, stopper, database, folder }
    }

    /// The server's database, as the command line opens it beside the server.
    pub async fn accounts(&self) -> SqlStore {
        let settings = SqlSettings { time_out: Duration::from_secs(20), ..SqlSettings::new(self.database.as_str()) };
        SqlStore::connect(&settings, self.clock.clone()).await.expect("the file opens")
    }

    /// A new account, `{name}@example.com`.
    pub async fn add_user(&self, name: &str, password: &str) -> UserId {
        let policy =
            HashingPolicy { memory_kib: 64, threads: 1, max_wait_ms: 20_000, ..portcullis_testkit::defaults().hashing };
        let pool = HashingPool::start(&policy).expect("a pool");
        self.add_user_of(name, pool.hash(&password.parse().expect("a password")).await.expect("a hash")).await
    }

    /// A new account with a hash that is there.
    pub async fn add_user_of(&self, name: &str, password_hash: String) -> UserId {
        let (first_name, last_name) = ("Grace".parse().expect("a name"), "Hopper".parse().expect("a name"));
        let email = format!("{name}@example.com").parse().expect("an address");
        let user = NewUser { email, first_name, last_name, password_hash, admin: false };
        match self.accounts().await.create_user(user).await.expect("the store answers") {
            Created::New(id) => id,
            Created::Duplicate => panic!("{name} exists"),
        }
    }

    /// A new application.
    pub async fn add_app(&self, name: &str) {
        let app = NewApplication {
            name: name.parse().expect("a name"),
            brand: name.to_owned(),
            mail_from: None,
            sms_from: None,
        };
        self.accounts().await.create_application(app).await.expect("the store answers");
    }

    /// A new key of an application.
    pub async fn add_key(&self, app: &str, owner: UserId, scopes: &[KeyScope]) -> String {
        let (key, accounts) = (ServerKey::new(random_bytes()), self.accounts().await);
        let name = app.parse().expect("a name");
        let app = accounts.application(Some(&name)).await.expect("the store answers").expect("an application");
        let new = NewKey { digest: key.digest(), app: app.id, owner, scopes: scopes.to_vec() };
        accounts.create_key(new).await.expect("the store answers");
        key.expose()
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

    /// Moves the time.
    pub fn later(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Ends it.
    pub async fn stop(self) {
        self.stopper.stop_now().await;
    }
}
