//! Who presents a credential: the one place that decides whether a token or a key lives. Every actor asks it.

use super::policy::SessionPolicy;
use crate::clock::Clock;
use crate::derive::Keyring;
use crate::domain::{AppId, AppName, Credential, KeyRowId, KeyScope, UserId, UserToken};
use crate::error::{Dependency, ErrorKind};
use crate::stores::{AccountStore, KeyRecord, Session, SessionStore};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::task::TaskTracker;

/// A user, present by a token of their own or by a server key that acts for them.
#[derive(Debug, Clone)]
pub struct Acting {
    /// Who.
    pub user: UserId,
    /// In which application.
    pub app: AppId,
    /// By which session, or
    pub session: Option<Session>,
    /// by which key.
    pub key: Option<KeyRowId>,
}

/// Checks credentials.
#[derive(Clone)]
pub struct Authenticator {
    /// Sessions, as this worker sees them.
    pub sessions: Arc<dyn SessionStore>,
    /// Keys and applications.
    pub accounts: Arc<dyn AccountStore>,
    /// Vouches for tokens.
    pub keyring: Arc<Keyring>,
    /// When it is.
    pub clock: Arc<dyn Clock>,
    /// When a use is written down.
    pub policy: Arc<SessionPolicy>,
    /// Application names by number; an application never changes its name.
    pub names: Arc<RwLock<HashMap<AppId, AppName>>>,
    /// What runs beside the answer and must end before the process does.
    pub tracker: TaskTracker,
}

impl Authenticator {
    /// The live session of a token. Garbage is refused without asking a store.
    ///
    /// # Errors
    /// `InvalidToken`, or that the token store does not answer.
    pub async fn session(&self, token: &UserToken) -> Result<Session, ErrorKind> {
        let session = self.find(token).await?;
        self.note_use(token.user(), &session);
        Ok(session)
    }

    /// The same, without counting as a use of it.
    ///
    /// # Errors
    /// `InvalidToken`, or that the token store does not answer.
    pub async fn find(&self, token: &UserToken) -> Result<Session, ErrorKind> {
        if !self.keyring.vouches_for(token) {
            return Err(ErrorKind::InvalidToken);
        }
        self.sessions.find(token.user(), token.digest()).await?.ok_or(ErrorKind::InvalidToken)
    }

    /// The user who acts: by a token, or by a key with `owner:act` as the key's owner.
    ///
    /// # Errors
    /// `InvalidToken`, `InsufficientScope`, or that a store does not answer.
    pub async fn user(&self, credential: &Credential) -> Result<Acting, ErrorKind> {
        match credential {
            Credential::User(token) => {
                let session = self.session(token).await?;
                Ok(Acting { user: token.user(), app: session.app, session: Some(session), key: None })
            }
            Credential::Key(_) => {
                let key = self.key(credential, KeyScope::OwnerAct).await?;
                Ok(Acting { user: key.owner, app: key.app, session: None, key: Some(key.id) })
            }
        }
    }

    /// A live key that has `scope`.
    ///
    /// # Errors
    /// `InvalidToken`; `Forbidden` for a user's token; `InsufficientScope`; or that a store does not answer.
    pub async fn key(&self, credential: &Credential, scope: KeyScope) -> Result<KeyRecord, ErrorKind> {
        let key = match credential {
            Credential::Key(key) => self.accounts.live_key(key.digest()).await?.ok_or(ErrorKind::InvalidToken)?,
            Credential::User(token) => {
                self.session(token).await?;
                return Err(ErrorKind::Forbidden);
            }
        };
        if key.scopes.contains(&scope) { Ok(key) } else { Err(ErrorKind::InsufficientScope(scope.as_str())) }
    }

    /// The name of an application, asked of SQL once a process.
    ///
    /// # Errors
    /// That SQL does not answer, or knows no such application.
    pub async fn app_name(&self, app: AppId) -> Result<AppName, ErrorKind> {
        if let Some(name) = self.names.read().unwrap_or_else(PoisonError::into_inner).get(&app) {
            return Ok(name.clone());
        }
        let found = self.accounts.application_by_id(app).await?;
        let name = found.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))?.name;
        self.names.write().unwrap_or_else(PoisonError::into_inner).insert(app, name.clone());
        Ok(name)
    }

    /// A use of this session: once in a while it is written down, beside the answer. Nobody waits for it, and a store
    /// that fails costs nothing but freshness.
    pub fn note_use(&self, user: UserId, session: &Session) {
        if !self.policy.wants_touch(session, self.clock.now()) {
            return;
        }
        let (sessions, id, idle) = (Arc::clone(&self.sessions), session.id, self.policy.idle());
        self.tracker.spawn(async move {
            if let Err(error) = sessions.touch(user, id, idle).await {
                tracing::debug!(%error, "a use was not written down");
            }
        });
    }
}
