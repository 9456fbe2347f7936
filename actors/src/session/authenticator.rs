//! Checks credentials: the one place that decides whether a token or a server key is valid. Every actor uses it.

use super::applications::Applications;
use super::known_keys::KnownKeys;
use super::policy::SessionPolicy;
use crate::clock::{Clock, Timestamp};
use crate::derive::Keyring;
use crate::domain::{
    AppId, AppName, Credential, DeviceId, Digest, KeyScope, PagePlace, PageToken, ServerKey, UserId, UserToken,
};
use crate::error::{Dependency, ErrorKind};
use crate::flows::in_background;
use crate::metrics::CheckMetrics;
use crate::stores::{AccountStore, DeviceStore, KeyRecord, PushDrop, Registration, Session, SessionStore, User};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// A token store that did not answer is told again of a change of registrations after each of these pauses. A node that
/// loses its connection to it forgets everything anyway.
const TELL_AGAIN: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(2)];

/// The user that a request acts as, and how they proved it.
#[derive(Debug, Clone)]
pub enum Principal {
    /// By a token of their own.
    User(UserId, Session),
    /// By a server key that acts for its owner.
    Key(KeyRecord),
    /// By the cookie of the settings pages, which speak for the default application.
    Page(UserId, Session, AppId),
}

/// Who may read or change what belongs to others.
#[derive(Debug, Clone)]
pub enum Authority {
    /// A back end with a key that has the scope.
    Key(KeyRecord),
    /// An administrator in the console.
    Administrator(Box<User>),
}

impl Principal {
    pub fn user(&self) -> UserId {
        match self {
            Self::User(user, _) | Self::Page(user, ..) => *user,
            Self::Key(key) => key.owner,
        }
    }

    /// The application of the session or of the key.
    pub fn app(&self) -> AppId {
        match self {
            Self::User(_, session) => session.app,
            Self::Key(key) => key.app,
            Self::Page(.., app) => *app,
        }
    }

    /// The session that the token belongs to.
    pub fn session(&self) -> Option<Digest> {
        match self {
            Self::User(_, session) | Self::Page(_, session, _) => Some(session.id),
            Self::Key(_) => None,
        }
    }
}

/// Checks credentials for the actors of one thread.
pub struct Authenticator {
    /// Sessions, through the cache of this thread's worker.
    pub sessions: Arc<dyn SessionStore>,
    pub accounts: Arc<dyn AccountStore>,
    /// For requests that name an application, and for its name.
    pub applications: Arc<Applications>,
    /// Tells genuine tokens from forged ones.
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
    /// Decides when a use is written down.
    pub policy: SessionPolicy,
    /// Application names by number. A name never changes, so that nothing is ever removed.
    pub names: RefCell<HashMap<AppId, AppName>>,
    /// Server keys in use, for calls that only ask.
    pub keys: KnownKeys,
    /// Counts the checks of this thread.
    pub checks: Arc<CheckMetrics>,
    /// Tracks the background work, which must end before the process does.
    pub tracker: TaskTracker,
}

impl Authenticator {
    /// The live session of a token, counted as a use of it. A forged token is refused without a call to a store.
    ///
    /// # Errors
    /// `InvalidToken`, or the token store does not answer.
    pub async fn session(&self, token: &UserToken) -> Result<Session, ErrorKind> {
        let now = self.clock.now();
        let session = self.find(token, now).await?;
        self.note_use(token.user(), &session, now);
        Ok(session)
    }

    /// The same, without counting it as a use.
    ///
    /// # Errors
    /// `InvalidToken`, or the token store does not answer.
    pub async fn find(&self, token: &UserToken, now: Timestamp) -> Result<Session, ErrorKind> {
        let (user, id) = (token.user(), token.digest());
        // The digest covers the whole token, so a token whose digest is in the cache is genuine.
        if let Some(session) = self.sessions.find_cached(user, id, now) {
            self.checks.hits.add();
            return Ok(session);
        }
        if !self.keyring.vouches_for(token) {
            self.checks.refused.add();
            return Err(ErrorKind::InvalidToken);
        }
        self.checks.misses.add();
        self.sessions.find(user, id).await?.ok_or(ErrorKind::InvalidToken)
    }

    /// The live session of the cookie of these pages, counted as a use of it.
    ///
    /// # Errors
    /// `InvalidToken`, or the token store does not answer.
    pub async fn page(&self, token: &PageToken, place: PagePlace) -> Result<Session, ErrorKind> {
        if !token.is_for(place) || !self.keyring.vouches_for_page(token) {
            return Err(ErrorKind::InvalidToken);
        }
        let found = self.sessions.find(token.user(), token.digest()).await?;
        let session = found.filter(|session| session.app == AppId::PAGES).ok_or(ErrorKind::InvalidToken)?;
        self.note_use(token.user(), &session, self.clock.now());
        Ok(session)
    }

    /// The administrator behind the cookie of the console, as SQL knows them now.
    ///
    /// # Errors
    /// `InvalidToken`, `Forbidden` for somebody who is no administrator any more, or a store does not answer.
    pub async fn administrator(&self, credential: &Credential) -> Result<User, ErrorKind> {
        let Credential::Page(token) = credential else { return Err(ErrorKind::InvalidToken) };
        self.page(token, PagePlace::Console).await?;
        let user = self.accounts.user(token.user()).await?.filter(|user| user.disabled.is_none());
        let user = user.ok_or(ErrorKind::InvalidToken)?;
        if user.admin { Ok(user) } else { Err(ErrorKind::Forbidden) }
    }

    /// Who may do what `scope` names: a live key that has it, or an administrator in the console.
    ///
    /// # Errors
    /// Those of [`key`](Self::key) and [`administrator`](Self::administrator).
    pub async fn may(&self, credential: &Credential, scope: KeyScope) -> Result<Authority, ErrorKind> {
        match credential {
            Credential::Page(_) => Ok(Authority::Administrator(Box::new(self.administrator(credential).await?))),
            Credential::User(_) | Credential::Key(_) => Ok(Authority::Key(self.key(credential, scope).await?)),
        }
    }

    /// The user behind a credential: the owner of a token or of the cookie of the settings, or the owner of a key with
    /// `owner:act`.
    ///
    /// # Errors
    /// `InvalidToken`, `InsufficientScope`, or a store does not answer.
    pub async fn user(&self, credential: &Credential) -> Result<Principal, ErrorKind> {
        match credential {
            Credential::User(token) => Ok(Principal::User(token.user(), self.session(token).await?)),
            Credential::Key(_) => Ok(Principal::Key(self.key(credential, KeyScope::OwnerAct).await?)),
            Credential::Page(token) => {
                let session = self.page(token, PagePlace::Settings).await?;
                let app = self.applications.find(None).await?;
                let app = app.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))?;
                Ok(Principal::Page(token.user(), session, app.id))
            }
        }
    }

    /// A live key that has `scope`.
    ///
    /// # Errors
    /// `InvalidToken`, `Forbidden` for a user's token, `InsufficientScope`, or a store does not answer.
    pub async fn key(&self, credential: &Credential, scope: KeyScope) -> Result<KeyRecord, ErrorKind> {
        match credential {
            Credential::Key(key) => with_scope(self.live_key(key.digest()).await?, scope),
            Credential::User(token) => {
                self.session(token).await?;
                Err(ErrorKind::Forbidden)
            }
            Credential::Page(_) => Err(ErrorKind::InvalidToken),
        }
    }

    /// As [`key`](Self::key), by [`recent`](Self::recent).
    ///
    /// # Errors
    /// Those of [`key`](Self::key).
    pub async fn recent_key(&self, credential: &Credential, scope: KeyScope) -> Result<KeyRecord, ErrorKind> {
        match credential {
            Credential::Key(key) => {
                let key = self.recent(key).await?;
                self.note_key_use(&key);
                with_scope(key, scope)
            }
            Credential::User(_) | Credential::Page(_) => self.key(credential, scope).await,
        }
    }

    /// A live key, for calls that only ask and are made often: each thread asks SQL twice a second for a key in use, and a
    /// key that was valid then will do. It is not counted as a use.
    ///
    /// # Errors
    /// `InvalidToken`, or SQL does not answer.
    pub async fn recent(&self, key: &ServerKey) -> Result<KeyRecord, ErrorKind> {
        let (digest, now) = (key.digest(), Instant::now());
        if let Some(known) = self.keys.get(digest, now) {
            return Ok(known);
        }
        let key = self.accounts.live_key(digest).await?.ok_or(ErrorKind::InvalidToken)?;
        self.keys.keep(digest, &key, now);
        Ok(key)
    }

    /// A key as SQL knows it now, counted as a use of it.
    ///
    /// # Errors
    /// `InvalidToken`, or SQL does not answer.
    pub(super) async fn live_key(&self, digest: Digest) -> Result<KeyRecord, ErrorKind> {
        let key = self.accounts.live_key(digest).await?.ok_or(ErrorKind::InvalidToken)?;
        self.note_key_use(&key);
        Ok(key)
    }

    /// The name of an application. Each thread asks for it once.
    ///
    /// # Errors
    /// SQL does not answer, or there is no such application.
    pub async fn app_name(&self, app: AppId) -> Result<AppName, ErrorKind> {
        if let Some(name) = self.names.borrow().get(&app) {
            return Ok(name.clone());
        }
        let name = self.applications.name(app).await?;
        self.names.borrow_mut().insert(app, name.clone());
        Ok(name)
    }

    /// Registers a device. `None` if the sign-in came too late.
    ///
    /// # Errors
    /// A store does not answer. The device may be registered all the same.
    pub async fn register(
        &self,
        devices: &dyn DeviceStore,
        registration: Registration,
    ) -> Result<Option<DeviceId>, ErrorKind> {
        let (user, app) = (registration.user, registration.app);
        let owner = match &registration.push {
            Some(push) => devices.push_owner(app, push).await?,
            None => None,
        };
        let registered = devices.register(registration).await;
        self.registrations_changed(user).await;
        // Without an answer nobody tells from whom the push token was taken.
        let taken_from = registered.as_ref().map_or(owner, |done| done.and_then(|done| done.taken_from));
        if let Some(other) = taken_from.filter(|other| *other != user) {
            self.registrations_changed(other).await;
        }
        Ok(registered?.map(|done| done.device))
    }

    /// Drops a push registration. False if there was none.
    ///
    /// # Errors
    /// A store does not answer. The registration may be dropped all the same.
    pub async fn drop_push(&self, devices: &dyn DeviceStore, user: UserId, which: PushDrop) -> Result<bool, ErrorKind> {
        let dropped = devices.drop_push(user, which).await;
        // Also if there was none: an earlier try, whose answer was late, may have dropped it.
        self.registrations_changed(user).await;
        Ok(dropped?)
    }

    /// Push registrations of this user were changed in SQL, or may have been, if no answer came: what workers noted about
    /// them is forgotten everywhere. As long as the token store does not answer, other nodes may believe a note until its
    /// hour is over.
    async fn registrations_changed(&self, user: UserId) {
        let Err(error) = self.sessions.forget(user).await else { return };
        tracing::info!(user = user.0, %error, "other nodes do not know yet of a change of push registrations");
        let sessions = Arc::clone(&self.sessions);
        in_background(&self.tracker, async move {
            for pause in TELL_AGAIN {
                tokio::time::sleep(pause).await;
                if sessions.forget(user).await.is_ok() {
                    return;
                }
            }
            tracing::info!(user = user.0, "other nodes may not know of a change of push registrations");
        });
    }

    /// As [`note_use`](Self::note_use), for a key.
    pub(super) fn note_key_use(&self, key: &KeyRecord) {
        if !self.keys.wants_note(key, self.clock.now()) {
            return;
        }
        let (accounts, id) = (Arc::clone(&self.accounts), key.id);
        in_background(&self.tracker, async move {
            if let Err(error) = accounts.note_key_use(id).await {
                tracing::debug!(%error, "the use of a key was not written");
            }
        });
    }

    /// Notes a use of this session. It is written once in a while and in the background: the answer does not wait for
    /// it, and if the store fails, the session only looks older than it is.
    pub fn note_use(&self, user: UserId, session: &Session, now: Timestamp) {
        if !self.policy.wants_touch(session, now) {
            return;
        }
        let (sessions, id, idle) = (Arc::clone(&self.sessions), session.id, self.policy.idle(session.app));
        in_background(&self.tracker, async move {
            if let Err(error) = sessions.touch(user, id, idle).await {
                tracing::debug!(%error, "the use of a session was not written");
            }
        });
    }
}

fn with_scope(key: KeyRecord, scope: KeyScope) -> Result<KeyRecord, ErrorKind> {
    if key.scopes.contains(&scope) { Ok(key) } else { Err(ErrorKind::InsufficientScope(scope.as_str())) }
}
