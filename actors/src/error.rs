//! What an actor can answer instead of the thing asked for: one closed set. Only the HTTP layer knows statuses.

use std::fmt;
use std::time::Duration;

/// Why a message was refused. Closed: a new kind is a new row in the error table of the HTTP layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Unknown account, wrong password or disabled account: one kind, so that none can be told from another.
    #[error("the e-mail or the password is wrong")]
    InvalidCredentials,
    /// The token or key is not, or no longer, valid.
    #[error("the token is not valid")]
    InvalidToken,
    /// The caller is known and may not do this.
    #[error("this is not allowed to you")]
    Forbidden,
    /// The server key lacks the scope that the call needs.
    #[error("the key lacks the scope {0}")]
    InsufficientScope(&'static str),
    /// There is no such thing (or none that the caller may know of).
    #[error("there is no such thing")]
    NotFound,
    /// Fields that cannot be, each with its reason.
    #[error("some parameters are not acceptable")]
    InvalidParameters(Vec<FieldError>),
    /// Wrong, used, expired, or none was sent: one kind.
    #[error("the code is not valid")]
    CodeInvalid,
    /// Wrong, used or expired.
    #[error("the reset link is not valid")]
    ResetTokenInvalid,
    /// The new password breaks a rule, which is named.
    #[error("the password is not acceptable")]
    PasswordUnacceptable(PasswordRule),
    /// The phone number's region is not one that messages are sent to.
    #[error("the region of this number is not served")]
    RegionNotAllowed,
    /// Too many wrong guesses.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When it is worth trying again; `None` when waiting does not help.
        retry_after: Option<Duration>,
    },
    /// Too many messages asked for.
    #[error("too many messages")]
    TooManyMessages {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// More work than can be done in time; nothing was begun.
    #[error("the server is overloaded")]
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// A store did not answer; nobody is let in.
    #[error("{0} does not answer")]
    DependencyUnavailable(Dependency),
}

impl ErrorKind {
    /// Whether the work was not done at all, so that the same request may be sent again and owes nothing.
    pub fn is_not_done(&self) -> bool {
        matches!(self, Self::Overloaded { .. } | Self::DependencyUnavailable(_))
    }

    /// One field that cannot be.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidParameters(vec![FieldError { field, reason: reason.into() }])
    }
}

/// The rule that a new password breaks. No rule is about composition (NIST SP 800-63B §3.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    /// Fewer code points than `passwords.shortest`.
    #[error("The password is too short.")]
    TooShort,
    /// The account's own address.
    #[error("The password must not be the e-mail address.")]
    IsEmail,
    /// Among the 10,000 commonest.
    #[error("The password is too common: it is among the first that anybody would try.")]
    TooCommon,
}

/// One field of a request that cannot be, and why. The reason never repeats the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The parameter's name as clients send it.
    pub field: &'static str,
    /// One sentence.
    pub reason: String,
}

/// A store the server stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// Accounts, keys, devices, outbox: SQLite or PostgreSQL.
    Database,
    /// Sessions, challenges, counters: Redis or the embedded store.
    TokenStore,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::TokenStore => "token_store",
        })
    }
}

/// A store did not answer, or answered something that cannot be read. "Not found" is never an error: it is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
#[error("{dependency} failed: {source}")]
pub struct StoreError {
    /// Which store.
    pub dependency: Dependency,
    /// What the driver said; for the log, never for a client.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// A failure of the SQL side.
    pub fn database(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { dependency: Dependency::Database, source: source.into() }
    }

    /// A failure of the token side.
    pub fn token_store(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { dependency: Dependency::TokenStore, source: source.into() }
    }
}

impl From<StoreError> for ErrorKind {
    fn from(error: StoreError) -> Self {
        tracing::warn!(dependency = %error.dependency, error = %error.source, "a store failed");
        Self::DependencyUnavailable(error.dependency)
    }
}
