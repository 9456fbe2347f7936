//! Errors of actors and stores. Only the HTTP layer maps them to statuses.

use std::fmt;
use std::time::Duration;

/// Why an actor refuses a message. A new kind needs a new row in the error table of the HTTP layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Unknown account, wrong password or disabled account. One kind, so that clients cannot tell them apart.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// The token or key is invalid, expired or revoked.
    #[error("the token is invalid")]
    InvalidToken,
    /// The caller is authenticated but not permitted.
    #[error("the caller may not do this")]
    Forbidden,
    /// The server key lacks a scope.
    #[error("the key lacks the scope {0}")]
    InsufficientScope(&'static str),
    /// It does not exist, or the caller must not learn that it exists.
    #[error("not found")]
    NotFound,
    /// Invalid fields, each with its reason.
    #[error("some parameters are invalid")]
    InvalidParameters(Vec<FieldError>),
    /// The code is wrong, used or expired, or none was sent.
    #[error("the code is invalid")]
    CodeInvalid,
    /// The token of a reset link is wrong, used or expired.
    #[error("the reset link is invalid")]
    ResetTokenInvalid,
    /// The new password breaks a rule.
    #[error("the password is not acceptable")]
    PasswordUnacceptable(PasswordRule),
    /// No messages are sent to the region of this phone number.
    #[error("the region of this number is not supported")]
    RegionNotAllowed,
    /// Too many wrong guesses.
    #[error("too many attempts")]
    TooManyAttempts {
        /// How long to wait before the next attempt. `None` if waiting does not help.
        retry_after: Option<Duration>,
    },
    /// Too many messages were requested.
    #[error("too many messages")]
    TooManyMessages {
        /// How long to wait before the next request.
        retry_after: Duration,
    },
    /// There is too much work to finish it in time. Nothing was started.
    #[error("the server is overloaded")]
    Overloaded {
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
    /// A store did not answer. Access is denied in this case.
    #[error("{0} does not answer")]
    DependencyUnavailable(Dependency),
}

impl ErrorKind {
    /// Whether nothing was done, so that the client can repeat the request and it does not count as an attempt.
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

/// A rule for new passwords. There are no rules about composition (NIST SP 800-63B §3.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    /// It has fewer code points than `passwords.shortest`.
    #[error("The password is too short.")]
    TooShort,
    /// It is the e-mail address of the account.
    #[error("The password must not be the e-mail address.")]
    IsEmail,
    /// It is among the 10,000 most common ones.
    #[error("The password is too common. Attackers try such passwords first.")]
    TooCommon,
}

/// An invalid field and the reason. The reason never contains the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The parameter's name as clients send it.
    pub field: &'static str,
    /// A sentence whose subject is the field.
    pub reason: String,
}

/// A store that the server needs.
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

/// A store did not answer, or its answer could not be read. "Not found" is not an error: it is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
#[error("{dependency} failed: {source}")]
pub struct StoreError {
    /// The store that failed.
    pub dependency: Dependency,
    /// The driver's error, for the log. Clients never see it.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// A failure of the SQL database.
    pub fn database(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { dependency: Dependency::Database, source: source.into() }
    }

    /// A failure of the token store.
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

/// Why the server cannot start: one line per fault. Each line says what to do and contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    /// From any other error.
    pub fn because(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}
