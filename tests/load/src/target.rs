//! Who is measured: a server that the kit starts with its stores, or one that runs already; and the accounts in it.

use crate::engine::client::Endpoint;
use crate::measure::Outcome;
use crate::options::{Database, Options, Sessions};
use crate::pinning::{self, Cores};
use crate::results;
use portcullis_testkit::postgres::Postgres;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::{Server, Setup};
use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// An account, as `users generate --tokens` writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub email: Box<str>,
    pub password: Box<str>,
    pub user_id: u64,
    pub token: Box<str>,
    pub device_token: Box<str>,
}

/// Who is measured.
pub struct Target {
    pub endpoint: Endpoint,
    pub users: Arc<Vec<User>>,
    pub text: results::Target,
    pub own: Option<Own>,
}

impl Target {
    /// The server's process, if it is the kit's.
    pub fn process(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.server.id())
    }

    /// The end of its log, if it is the kit's.
    pub fn last_words(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.own.as_ref()?.setup.log()).ok()?;
        log.lines().last().map(str::to_owned)
    }

    /// Its version and stores, or its URL.
    pub fn name(&self) -> &str {
        match &self.text {
            results::Target::Own(text) | results::Target::Url(text) => text,
        }
    }

    /// A server that runs already.
    ///
    /// # Errors
    /// When the URL or the file of accounts cannot be used.
    pub fn at(url: &url::Url, tokens: &Path, most: Option<u64>) -> Outcome<Self> {
        let users = read_users(tokens, most)?;
        let text = results::Target::Url(url.to_string());
        Ok(Self { endpoint: Endpoint::of(url)?, users: Arc::new(users), text, own: None })
    }
}

/// The accounts of a file.
fn read_users(file: &Path, most: Option<u64>) -> Outcome<Vec<User>> {
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let lines = BufReader::new(std::fs::File::open(file).map_err(|error| fault(&error))?).lines();
    let most = most.map_or(usize::MAX, |most| most as usize);
    let user = |(number, line): (usize, std::io::Result<String>)| -> Outcome<User> {
        let line = line.map_err(|error| fault(&error))?;
        let written = "is no account as `portcullis users generate --tokens` writes it";
        Ok(serde_json::from_str(&line).map_err(|_| fault(&format!("line {} {written}", number + 1)))?)
    };
    let users = lines.take(most).enumerate().map(user).collect::<Outcome<Vec<_>>>()?;
    if users.is_empty() { Err(fault(&"the file has no accounts").into()) } else { Ok(users) }
}

/// A server of the kit, in a folder that goes with it, with its stores.
pub struct Own {
    pub server: Server,
    /// How it is started again.
    pub setup: Setup,
    pub redis: Option<Redis>,
    _replica: Option<Redis>,
    _postgres: Option<Postgres>,
    _folder: TempDir,
}

/// How a server of the kit is started.
pub struct Start<'a> {
    pub options: &'a Options,
    pub sessions: Sessions,
    pub cores: Option<&'a Cores>,
    pub runtime: &'a Runtime,
    pub users: u64,
    pub settings: &'a [(&'static str, &'a str)],
}

impl Start<'_> {
    /// Starts the stores, creates the accounts with their sessions, and starts the server.
    ///
    /// # Errors
    /// When the binary is not built, or a part does not start.
    pub fn own(&self) -> Outcome<Target> {
        let binary = match &self.options.binary {
            Some(binary) => binary.clone(),
            None => std::env::current_exe()?.with_file_name("portcullis"),
        };
        let binary = binary
            .canonicalize()
            .map_err(|_| format!("{} is not there: cargo build --release --workspace builds it", binary.display()))?;
        let folder = TempDir::new()?;
        let redis = (self.sessions != Sessions::Embedded).then(|| self.runtime.block_on(Redis::start()));
        let postgres =
            (self.options.database == Database::Postgres).then(|| self.runtime.block_on(Postgres::start_durable()));
        let mut settings: Vec<_> = self.settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        if let Some(redis) = &redis {
            settings.push(("redis.url", redis.url()));
        }
        if let Some(postgres) = &postgres {
            settings.push(("database.url", postgres.url("postgres")));
        }
        let setup = Setup { binary, folder: folder.path().to_owned(), profile: "loadtest", settings };
        setup.run(&["apps", "add", "load"], "")?;
        // The stores of so many accounts take longer than a request may.
        setup.run(&["users", "generate", "--count", &self.users.to_string(), "--tokens", "users.ndjson"], "")?;
        let users = read_users(&folder.path().join("users.ndjson"), None)?;
        let version = setup.run(&["--version"], "")?;
        let with_replica = redis.as_ref().filter(|_| self.sessions == Sessions::Redis);
        let replica = with_replica.map(|redis| self.runtime.block_on(redis.replica()));
        let server = pinning::on(self.cores.map_or(&[], |cores| &cores.server), || Ok(setup.start()?))?;
        let database = if postgres.is_some() { "PostgreSQL (durable)" } else { "SQLite" };
        let sessions = match self.sessions {
            Sessions::Redis => "Redis with a replica",
            Sessions::RedisAlone => "Redis without a replica",
            Sessions::Embedded => "embedded sessions",
        };
        let limited = self.settings.contains(&("limits.enabled", "true"));
        let limits = if limited { "with limits" } else { "without limits" };
        Ok(Target {
            endpoint: Endpoint::at(server.address()),
            users: Arc::new(users),
            text: results::Target::Own(format!("{}, {database}, {sessions}, {limits}", version.trim())),
            own: Some(Own { server, setup, redis, _replica: replica, _postgres: postgres, _folder: folder }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_accounts_is_read() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("users.ndjson");
        let line = r#"{"email":"a@b.example","password":"p","user_id":7,"token":"T","device_token":"d"}"#;
        std::fs::write(&file, format!("{line}\n{line}\n")).unwrap();
        assert_eq!(read_users(&file, None).unwrap().len(), 2);
        assert_eq!(read_users(&file, Some(1)).unwrap()[0].user_id, 7);
        let fault = |file: &Path| read_users(file, None).unwrap_err().to_string();
        std::fs::write(&file, format!("{line}\nT\n")).unwrap();
        assert!(fault(&file).contains("users.ndjson: line 2 is no account"), "{}", fault(&file));
        std::fs::write(&file, "").unwrap();
        assert!(fault(&file).contains("no accounts"));
        let folder = folder.path();
        assert!(fault(folder).starts_with(folder.to_str().unwrap()), "{}", fault(folder));
    }
}
