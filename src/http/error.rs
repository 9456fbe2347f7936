//! The one table of error codes, and how a refusal becomes an answer. Only here do kinds of errors meet statuses.
//!
//! May name `portcullis_actors::error` and the refusals of messages. The body is written by `envelope`, which knows the request's id.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use portcullis_actors::error::{ErrorKind, FieldError, PasswordRule};
use portcullis_actors::notifier::ReportRefusal;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal $title:literal,)+) => {
        /// What went wrong, as clients may rely on it: every code there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// All of them, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            const fn row(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Self::$name => ($status, $text, $title),)+
                }
            }
        }
    };
}

codes! {
    /// The request cannot be read as what it says it is.
    MalformedRequest = 400 "malformed_request" "The request cannot be read",
    /// A secret in the query string, where proxies and browsers write it down.
    TokenInUrl = 400 "token_in_url" "A secret does not belong into the URL",
    /// Two credentials that differ.
    ConflictingCredentials = 400 "conflicting_credentials" "Two different credentials were given",
    /// Unknown account, wrong password, disabled account: one text.
    InvalidCredentials = 401 "invalid_credentials" "The e-mail or the password is wrong",
    /// No credential, or one that is not or no longer valid.
    InvalidToken = 401 "invalid_token" "The token is missing or not valid",
    /// Known, and not allowed.
    Forbidden = 403 "forbidden" "This is not allowed to you",
    /// A server key without the scope of the call.
    InsufficientScope = 403 "insufficient_scope" "The key lacks the scope for this",
    /// No such thing.
    NotFound = 404 "not_found" "There is no such thing",
    /// The path is there, the method is not.
    MethodNotAllowed = 405 "method_not_allowed" "This method is not for this path",
    /// A format other than JSON was asked for.
    NotAcceptable = 406 "not_acceptable" "Answers come as JSON only",
    /// Larger than what the server takes.
    BodyTooLarge = 413 "body_too_large" "The body is too large",
    /// A kind of body, or a coding, that is not read.
    UnsupportedMediaType = 415 "unsupported_media_type" "This kind of body is not read",
    /// Some parameters cannot be; `errors` names them.
    InvalidParameters = 422 "invalid_parameters" "Some parameters are not acceptable",
    /// Wrong, used, expired, or none was sent: one text.
    CodeInvalid = 422 "code_invalid" "The code is not valid",
    /// Wrong, used or expired.
    ResetTokenInvalid = 422 "reset_token_invalid" "The reset link is not valid",
    /// The new password breaks a rule.
    PasswordUnacceptable = 422 "password_unacceptable" "The new password is not acceptable",
    /// Messages are not sent to this number's region.
    RegionNotAllowed = 422 "region_not_allowed" "No messages are sent to this region",
    /// Too many wrong guesses.
    TooManyAttempts = 429 "too_many_attempts" "Too many attempts",
    /// Too many messages asked for.
    TooManyMessages = 429 "too_many_messages" "Too many messages",
    /// More work than can be done in time; nothing was begun.
    Overloaded = 503 "overloaded" "The server is overloaded",
    /// A store did not answer; nothing was accepted.
    DependencyUnavailable = 503 "dependency_unavailable" "A part of the service does not answer",
}

impl Code {
    /// The name clients compare: stable, snake case.
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status (RFC 9110 §15).
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// One line for people, the same for every occurrence (RFC 9457 §3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

/// A refusal on its way to the client (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which row of the table.
    pub code: Code,
    /// One sentence on this occurrence; never an internal text.
    pub detail: Cow<'static, str>,
    /// The fields that cannot be; empty unless the status is 422.
    pub errors: Vec<FieldError>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
    /// The rule that a new password breaks, for a page that says it in another language.
    pub rule: Option<PasswordRule>,
    /// The methods that the path has, for 405.
    pub allow: Option<String>,
    /// Whether HTTP Basic would do as well, for the challenge of a 401.
    pub basic: bool,
}

impl Problem {
    /// A refusal with its reason.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { code, detail, errors: Vec::new(), retry_after: None, rule: None, allow: None, basic: false }
    }

    /// The request cannot be read.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::MalformedRequest, detail)
    }

    /// There is no such thing.
    pub fn not_found() -> Self {
        ErrorKind::NotFound.into()
    }

    /// More work than can be done; worth trying again in a second.
    pub fn overloaded() -> Self {
        ErrorKind::Overloaded { retry_after: Duration::from_secs(1) }.into()
    }

    /// The same for a call that takes keys alone: who makes it has no password to sign in with.
    #[must_use]
    pub fn to_key_holder(self) -> Self {
        match self.code {
            Code::InvalidToken => {
                Self { detail: "Send a living server key as Authorization: Bearer, or as auth_token.".into(), ..self }
            }
            _ => self,
        }
    }

    /// The same for a call that takes a key as HTTP Basic, too.
    #[must_use]
    pub fn to_client(self) -> Self {
        match self.code {
            Code::InvalidToken => Self {
                detail: "Send a living server key as Authorization: Bearer, as auth_token, or as HTTP Basic with the \
                         application's name as user and the key as password."
                    .into(),
                basic: true,
                ..self
            },
            _ => self,
        }
    }

    /// `Retry-After` in whole seconds, rounded up, at least one (RFC 9110 §10.2.3).
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|wait| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    fn with_field(mut self, field: &'static str) -> Self {
        self.errors = vec![FieldError { field, reason: self.detail.clone().into_owned() }];
        self
    }

    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<ErrorKind> for Problem {
    fn from(kind: ErrorKind) -> Self {
        const A_DAY: Duration = Duration::from_secs(86_400);
        const A_SECOND: Duration = Duration::from_secs(1);
        match kind {
            ErrorKind::InvalidCredentials => {
                Self::new(Code::InvalidCredentials, "No account signs in with this e-mail and this password.")
            }
            ErrorKind::InvalidToken => {
                Self::new(Code::InvalidToken, "Sign in, and send the token as auth_token or as Authorization: Bearer.")
            }
            ErrorKind::Forbidden => Self::new(Code::Forbidden, "The credential given does not reach that far."),
            ErrorKind::InsufficientScope(scope) => {
                Self::new(Code::InsufficientScope, format!("The key would need the scope {scope}."))
            }
            ErrorKind::NotFound => Self::new(Code::NotFound, "Nothing stands under this path."),
            ErrorKind::InvalidParameters(errors) => {
                Self { errors, ..Self::new(Code::InvalidParameters, "See errors for each of them.") }
            }
            ErrorKind::CodeInvalid => {
                Self::new(Code::CodeInvalid, "The code is wrong, used or expired, or none was sent.")
                    .with_field("token")
            }
            ErrorKind::ResetTokenInvalid => {
                Self::new(Code::ResetTokenInvalid, "The link is wrong, used or expired.").with_field("reset_token")
            }
            ErrorKind::PasswordUnacceptable(rule) => Self {
                rule: Some(rule),
                ..Self::new(Code::PasswordUnacceptable, rule.to_string()).with_field("password")
            },
            ErrorKind::RegionNotAllowed => {
                Self::new(Code::RegionNotAllowed, "Codes are sent to mobile numbers of served regions only.")
                    .with_field("phone")
            }
            ErrorKind::TooManyAttempts { retry_after: Some(wait) } => {
                Self::new(Code::TooManyAttempts, "Wait before the next try.").after(wait)
            }
            ErrorKind::TooManyAttempts { retry_after: None } => {
                Self::new(Code::TooManyAttempts, "Waiting does not help; reset the password.").after(A_DAY)
            }
            ErrorKind::TooManyMessages { retry_after } => {
                Self::new(Code::TooManyMessages, "Wait before asking for the next one.").after(retry_after)
            }
            ErrorKind::Overloaded { retry_after } => {
                Self::new(Code::Overloaded, "Nothing was begun; try again.").after(retry_after)
            }
            ErrorKind::DependencyUnavailable(_) => {
                Self::new(Code::DependencyUnavailable, "Nothing was accepted; try again.").after(A_SECOND)
            }
        }
    }
}

impl From<ReportRefusal> for Problem {
    fn from(refusal: ReportRefusal) -> Self {
        match refusal {
            ReportRefusal::NotGenuine => Self::new(Code::Forbidden, "No provider of ours signed this."),
            ReportRefusal::Unavailable(kind) => kind.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_snake_case_and_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        assert!(Code::ALL.is_sorted_by_key(|code| code.status()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let after = |millis| Problem::overloaded().after(Duration::from_millis(millis)).retry_after_secs();
        assert_eq!((after(0), after(1000), after(1001)), (Some(1), Some(1), Some(2)));
    }
}
