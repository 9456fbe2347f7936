//! Errors. Actors answer with a closed set of kinds; the HTTP layer chooses their statuses.

use std::fmt;
use std::time::Duration;

/// Why a message was refused. A new kind needs a new row in the error table of the HTTP layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "`retry_after` is what its name says")]
pub enum ErrorKind {
    /// Unknown account, wrong password or disabled account. It is one kind, so that the answer does not tell which.
    #[error("the e-mail or the password is wrong")]
    InvalidCredentials,
    /// The token or key is unknown, expired or revoked.
    #[error("the token is not valid")]
    InvalidToken,
    /// The caller is authenticated, but not allowed to do this.
    #[error("this is not allowed to you")]
    Forbidden,
    /// The server key lacks a scope.
    #[error("the key lacks the scope {0}")]
    InsufficientScope(&'static str),
    /// It does not exist, or the caller may not learn that it does.
    #[error("there is no such thing")]
    NotFound,
    /// Invalid fields, each with its reason.
    #[error("some parameters are not acceptable")]
    InvalidParameters(Vec<FieldError>),
    /// The code is wrong, used or expired, or none was sent. It is one kind, as above.
    #[error("the code is not valid")]
    CodeInvalid,
    /// The link is wrong, used or expired.
    #[error("the reset link is not valid")]
    ResetTokenInvalid,
    /// The new password breaks this rule.
    #[error("the password is not acceptable")]
    PasswordUnacceptable(PasswordRule),
    /// No messages are sent to the region of the phone number.
    #[error("the region of this number is not served")]
    RegionNotAllowed,
    /// Too many wrong guesses.
    #[error("too many attempts")]
    TooManyAttempts {
        /// `None` if waiting does not help.
        retry_after: Option<Duration>,
    },
    /// Too many messages were requested.
    #[error("too many messages")]
    TooManyMessages { retry_after: Duration },
    /// There is more work than can be done in time. Nothing was done.
    #[error("the server is overloaded")]
    Overloaded { retry_after: Duration },
    /// A store did not answer. The request is refused.
    #[error("{0} does not answer")]
    DependencyUnavailable(Dependency),
}

impl ErrorKind {
    /// Whether nothing was done: the same request may be sent again, and costs no attempt.
    pub fn is_not_done(&self) -> bool {
        matches!(self, Self::Overloaded { .. } | Self::DependencyUnavailable(_))
    }

    /// Too many attempts; worth trying again after `wait`.
    pub fn too_many_attempts(wait: Duration) -> Self {
        Self::TooManyAttempts { retry_after: Some(wait) }
    }

    /// One invalid field.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidParameters(vec![FieldError { field, reason: reason.into() }])
    }
}

/// A rule for new passwords. None is about composition (NIST SP 800-63B §3.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    /// Fewer code points than `passwords.shortest`.
    #[error("The password is too short.")]
    TooShort,
    /// The account's own address.
    #[error("The password must not be the e-mail address.")]
    IsEmail,
    /// One of the 10,000 most common passwords.
    #[error("The password is too common: it is among the first that anybody would try.")]
    TooCommon,
}

/// An invalid field of a request. The reason never repeats the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The parameter's name as clients send it.
    pub field: &'static str,
    /// One sentence.
    pub reason: String,
}

/// A store that the server depends on.
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

/// A store did not answer, or its answer is not readable. "Not found" is not an error but `Ok(None)`.
#[derive(Debug, thiserror::Error)]
#[error("{dependency} failed: {source}")]
pub struct StoreError {
    /// Which store.
    pub dependency: Dependency,
    /// The driver's error: for the log, never for a client.
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
