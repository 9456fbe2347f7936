//! The file of `users generate --tokens`: for each account a registered device and a live session, as one JSON object per
//! line.

use super::{Database, Failure};
use crate::app::{self, TokenStore};
use crate::config::Config;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use portcullis_actors::clock::SystemClock;
use portcullis_actors::derive::{Keyring, random_bytes};
use portcullis_actors::domain::{AppId, Email, MobileOs, UserId};
use portcullis_actors::stores::{AccountStore as _, Created, Forgiven, NewSession, Opening};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many accounts are looked up at the same time.
const LOOK_UPS: usize = 16;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    email: &'a str,
    password: &'a str,
    user_id: i64,
    token: String,
    device_token: &'a str,
}

/// An account that the file names.
pub(super) struct Account {
    pub(super) email: Email,
    pub(super) device_token: String,
    pub(super) created: Created<UserId>,
}

/// The file, and what its sessions are opened with.
pub(super) struct TokensFile {
    path: PathBuf,
    lines: BufWriter<File>,
    store: TokenStore,
    keyring: Keyring,
    app: AppId,
    config: Config,
}

impl TokensFile {
    /// Creates the file, readable by its owner only. An existing one is replaced only with `force`.
    pub(super) async fn create(
        path: &Path,
        force: bool,
        config: &Config,
        accounts: &Database,
    ) -> Result<Self, Failure> {
        let Some(app) = accounts.application(None).await? else {
            return Err(Failure("there is no application to sign in to: add one with portcullis apps add".to_owned()));
        };
        let keyring = app::keyring(config)?;
        let store = TokenStore::open(config, Arc::new(SystemClock), accounts).await?;
        let file = create(path, force).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure(format!("{} exists already: --force replaces it", path.display())),
            _ => fault(path, error),
        })?;
        let lines = BufWriter::new(file);
        Ok(Self { path: path.to_owned(), lines, store, keyring, app: app.id, config: config.clone() })
    }

    /// Registers a device and opens a session for each of these accounts, and writes their lines.
    pub(super) async fn add(&mut self, accounts: &Database, lot: &[Account], password: &str) -> Result<(), Failure> {
        let users: Vec<(UserId, i64)> =
            stream::iter(lot).map(|account| identify(accounts, account)).buffered(LOOK_UPS).try_collect().await?;
        let mut devices = Vec::with_capacity(lot.len());
        for (account, (user, _)) in lot.iter().zip(&users) {
            devices.push((*user, account.device_token.parse().map_err(Failure::because)?));
        }
        let devices = accounts.register_devices(self.app, MobileOs::Ios, &devices).await?;
        let (mut tokens, mut sessions) = (Vec::with_capacity(lot.len()), Vec::with_capacity(lot.len()));
        for (user, epoch) in users {
            let token = self.keyring.issue_token(user, random_bytes());
            sessions.push(NewSession {
                user,
                id: token.digest(),
                app: self.app,
                device: devices.get(&user).copied(),
                epoch,
                idle: self.config.sessions.idle(self.app),
                absolute: self.config.sessions.absolute(self.app),
                max_sessions: self.config.sessions.most,
                forgiven: Forgiven::default(),
            });
            tokens.push(token);
        }
        let opened = self.store.open_all(sessions).await?;
        for ((account, token), opening) in lot.iter().zip(tokens).zip(opened) {
            if opening == Opening::StaleEpoch {
                return Err(Failure(format!("{} was signed out everywhere meanwhile", account.email.as_str())));
            }
            let line = Line {
                email: account.email.as_str(),
                password,
                user_id: token.user().0,
                token: token.expose(),
                device_token: &account.device_token,
            };
            let line = serde_json::to_string(&line).map_err(Failure::because)?;
            writeln!(self.lines, "{line}").map_err(|error| fault(&self.path, error))?;
        }
        Ok(())
    }

    /// Completes the file.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.lines.flush().map_err(|error| fault(&self.path, error))
    }

    /// Removes a file that is not complete, so that the command can be repeated.
    pub(super) fn discard(self) {
        let _ = std::fs::remove_file(self.path);
    }
}

fn create(path: &Path, force: bool) -> io::Result<File> {
    if force {
        // The mode of a file that exists would stay.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn fault(path: &Path, error: io::Error) -> Failure {
    Failure(format!("{}: {error}", path.display()))
}

/// The number and the epoch of an account, which an earlier run may have created.
async fn identify(accounts: &Database, account: &Account) -> Result<(UserId, i64), Failure> {
    if let Created::New(id) = account.created {
        return Ok((id, 0));
    }
    match accounts.user_by_email(&account.email).await? {
        Some(user) if user.disabled.is_some() => Err(Failure(format!("{} is disabled", account.email.as_str()))),
        Some(user) => Ok((user.id, user.epoch)),
        None => Err(Failure(format!("{} was deleted meanwhile", account.email.as_str()))),
    }
}
