//! The whole server, as `serve` starts it under the development profile, in a temporary folder.

use crate::accounts::{add_application, add_user, new_application, new_user};
use crate::server::{CHEAP_HASHES, PATIENT};
use crate::wait::found;
use crate::{defaults, http_client, json, stores};
use portcullis::config::{Config, Profile, Sources};
use portcullis::{Server, Stopper};
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{KeyScope, ServerKey, UserId};
use portcullis_actors::hashing::{HashingPolicy, HashingPool};
use portcullis_actors::stores::sql::SqlStore;
use portcullis_actors::stores::{AccountStore as _, NewKey, NewUser};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A running server.
pub struct Live {
    pub url: String,
    /// Where it serves operators.
    pub operators: String,
    /// Where it serves metrics.
    pub metrics: String,
    pub client: Client,
    pub clock: Arc<ShiftedClock>,
    stopper: Stopper,
    database: String,
    folder: TempDir,
}

impl Live {
    /// With the demo data and an inbox, on a free port. Clients set their address by `X-Forwarded-For`.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with other settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), settings).await
    }

    /// Stops it and starts another one on the same folder with other settings.
    pub async fn restart_with(self, settings: &[(&str, &str)]) -> Self {
        self.stopper.stop_now().await;
        Self::start_in(self.folder, settings).await
    }

    async fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let database = stores::sqlite_url(&folder.path().join("portcullis.db"));
        let mut sources = Sources::of(Profile::Development)
            .with("server.bind", "127.0.0.1:0")
            .with("admin.bind", "127.0.0.1:0")
            .with("server.workers", "1")
            .with("server.trusted_proxies", "127.0.0.0/8")
            .with("database.url", database.as_str());
        for (key, value) in PATIENT.iter().chain(&CHEAP_HASHES).chain(settings) {
            sources = sources.with(key, *value);
        }
        let config = Config::load(&sources).expect("a configuration");
        let clock = Arc::new(ShiftedClock::default());
        let server = Server::build(config, clock.clone()).await.expect("a server");
        let (url, stopper) = (format!("http://{}", server.address()), server.stopper());
        let operators = format!("http://{}", server.admin_address().expect("it has a listener for operators"));
        let metrics = format!("{operators}/metrics");
        actix_web::rt::spawn(server.run());
        Self { url, operators, metrics, client: http_client(), clock, stopper, database, folder }
    }

    /// The database of the server, as the command line opens it.
    pub async fn accounts(&self) -> SqlStore {
        stores::connect(&self.database, self.clock.clone()).await
    }

    /// The tables and their cells, without those that the server writes to on its own: what deliveries came to, the last
    /// numbers that SQLite gave, and which nodes there are.
    pub async fn content(&self) -> BTreeSet<String> {
        let mut tables = stores::cells(&self.folder.path().join("portcullis.db")).await;
        tables.retain(|name, _| !["outbox", "outbox_attempts", "nodes", "sqlite_sequence"].contains(&name.as_str()));
        tables.into_iter().map(|(name, cells)| format!("{name}: {}", cells.join(", "))).collect()
    }

    /// From now on new users have ids above this one.
    pub async fn new_users_are_above(&self, id: i64) {
        let options = SqliteConnectOptions::from_str(&self.database).expect("a URL");
        let mut open = options.connect().await.expect("it is a database");
        let change = sqlx::query("UPDATE sqlite_sequence SET seq = ? WHERE name = 'users'").bind(id);
        assert_eq!(change.execute(&mut open).await.expect("changed").rows_affected(), 1);
    }

    /// A new user, `{name}@example.com`.
    pub async fn add_user(&self, name: &str, password: &str) -> UserId {
        let policy = HashingPolicy { memory_kib: 64, threads: 1, max_wait_ms: 20_000, ..defaults().hashing };
        let pool = HashingPool::start(&policy).expect("a pool");
        self.add_user_of(name, pool.hash(&password.parse().expect("a password")).await.expect("a hash")).await
    }

    /// A new user with this hash.
    pub async fn add_user_of(&self, name: &str, password_hash: String) -> UserId {
        add_user(&self.accounts().await, NewUser { password_hash, ..new_user(name) }).await
    }

    /// A new application.
    pub async fn add_app(&self, name: &str) {
        add_application(&self.accounts().await, new_application(name)).await;
    }

    /// A new key of an application.
    pub async fn add_key(&self, app: &str, owner: UserId, scopes: &[KeyScope]) -> String {
        let (key, accounts) = (ServerKey::new(random_bytes()), self.accounts().await);
        let name = app.parse().expect("a name");
        let app = accounts.application(Some(&name)).await.expect("the store answers").expect("an application");
        let new = NewKey {
            digest: key.digest(),
            app: app.id,
            owner,
            scopes: scopes.to_vec(),
            name: String::new(),
            expires: None,
        };
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
        json(self.request(Method::POST, "/api/v1/tokens").form(&pairs)).await
    }

    /// The texts of the messages of this kind, newest first, once there are so many.
    pub async fn received(&self, kind: &str, count: usize) -> Vec<String> {
        found(&format!("{count} of {kind}"), async || {
            let (_, items) = json(self.request(Method::GET, "/dev/inbox.json")).await;
            let of_kind = items.as_array().expect("a list").iter().filter(|item| item["kind"] == kind);
            let texts: Vec<_> = of_kind.map(|item| item["text"].as_str().expect("a text").to_owned()).collect();
            Some(texts).filter(|texts| texts.len() >= count)
        })
        .await
    }

    /// Moves the clock.
    pub fn later(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Stops it.
    pub async fn stop(self) {
        self.stopper.stop_now().await;
    }
}
