//! The table of error codes, and how a refusal becomes an answer. Only this file maps kinds of errors to statuses.
//!
//! The body is written by `exchange`, which has the request id.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use portcullis_actors::error::{ErrorKind, FieldError, PasswordRule};
use portcullis_actors::notifier::ReportRefusal;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($name:ident = $status:literal $text:literal $title:literal,)+) => {
        /// Every error code that a client can receive.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($name,)+
        }

        impl Code {
            /// All codes, ordered by status.
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
    MalformedRequest = 400 "malformed_request" "The request is malformed",
    TokenInUrl = 400 "token_in_url" "A secret does not belong in the URL",
    ConflictingCredentials = 400 "conflicting_credentials" "The request has conflicting credentials",
    InvalidCredentials = 401 "invalid_credentials" "The e-mail address or the password is wrong",
    InvalidToken = 401 "invalid_token" "The token is missing or invalid",
    Forbidden = 403 "forbidden" "You may not do this",
    InsufficientScope = 403 "insufficient_scope" "The server key lacks the required scope",
    NotFound = 404 "not_found" "Not found",
    MethodNotAllowed = 405 "method_not_allowed" "The method is not allowed for this path",
    NotAcceptable = 406 "not_acceptable" "Only JSON is available",
    BodyTooLarge = 413 "body_too_large" "The request body is too large",
    UnsupportedMediaType = 415 "unsupported_media_type" "The media type is not supported",
    InvalidParameters = 422 "invalid_parameters" "Some parameters are invalid",
    CodeInvalid = 422 "code_invalid" "The code is invalid",
    ResetTokenInvalid = 422 "reset_token_invalid" "The reset link is invalid",
    PasswordUnacceptable = 422 "password_unacceptable" "The new password is not acceptable",
    RegionNotAllowed = 422 "region_not_allowed" "Messages are not sent to this region",
    TooManyAttempts = 429 "too_many_attempts" "Too many attempts",
    TooManyMessages = 429 "too_many_messages" "Too many messages",
    Overloaded = 503 "overloaded" "The server is overloaded",
    DependencyUnavailable = 503 "dependency_unavailable" "A required service is unavailable",
}

impl Code {
    /// Those that every call can be refused with, before its handler is asked or because the server is busy.
    pub const ANYWHERE: &'static [Self] = &[
        Self::MalformedRequest,
        Self::TokenInUrl,
        Self::ConflictingCredentials,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::Overloaded,
        Self::DependencyUnavailable,
    ];

    /// The stable name that clients compare.
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status (RFC 9110 §15).
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// A summary for people, the same for every occurrence (RFC 9457 §3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

/// Until then a locked account is not worth another try.
const A_DAY: Duration = Duration::from_secs(86_400);

/// A refusal on its way to the client (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// That of the code, unless who asked knows fewer statuses.
    pub status: StatusCode,
    /// One sentence about this occurrence. Never contains internal details.
    pub detail: Cow<'static, str>,
    /// The invalid fields. Empty unless the status is 422.
    pub errors: Vec<FieldError>,
    /// How long the client should wait before it tries again.
    pub retry_after: Option<Duration>,
    /// The rule that the new password breaks, for pages in other languages.
    pub rule: Option<PasswordRule>,
    /// What the answer has beside the headers of its status.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A refusal with its detail.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let (status, detail) = (code.status(), detail.into());
        Self { code, status, detail, errors: Vec::new(), retry_after: None, rule: None, headers: Vec::new() }
    }

    /// 400 with this detail.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::MalformedRequest, detail)
    }

    /// 404.
    pub fn not_found() -> Self {
        ErrorKind::NotFound.into()
    }

    /// 503, with a retry after one second.
    pub fn overloaded() -> Self {
        ErrorKind::Overloaded { retry_after: Duration::from_secs(1) }.into()
    }

    /// Replaces the advice of a 401 for calls that accept server keys only.
    #[must_use]
    pub fn for_server_keys(self) -> Self {
        match self.code {
            Code::InvalidToken => {
                Self { detail: "Send a valid server key as Authorization: Bearer or as auth_token.".into(), ..self }
            }
            _ => self,
        }
    }

    /// Replaces the advice of a 401 for calls that also accept a server key as HTTP Basic.
    #[must_use]
    pub fn for_oauth_clients(mut self) -> Self {
        if self.code == Code::InvalidToken {
            self.detail = "Send a valid server key as Authorization: Bearer, as auth_token, or as HTTP Basic with the \
                           application's name as the user and the key as the password."
                .into();
            let basic = HeaderValue::from_static("Basic realm=\"portcullis\", charset=\"UTF-8\"");
            self.headers.push((WWW_AUTHENTICATE, basic));
        }
        self
    }

    /// `Retry-After` in whole seconds: rounded up, at least one (RFC 9110 §10.2.3).
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|wait| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// Whether waiting is of no use: there were too many wrong passwords.
    pub fn only_a_reset_helps(&self) -> bool {
        self.code == Code::TooManyAttempts && self.retry_after == Some(A_DAY)
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
        const A_SECOND: Duration = Duration::from_secs(1);
        match kind {
            ErrorKind::InvalidCredentials => Self::new(
                Code::InvalidCredentials,
                "No account can sign in with this e-mail address and this password.",
            ),
            ErrorKind::InvalidToken => {
                Self::new(Code::InvalidToken, "Sign in, and send the token as auth_token or as Authorization: Bearer.")
            }
            ErrorKind::Forbidden => Self::new(Code::Forbidden, "This credential does not allow the request."),
            ErrorKind::InsufficientScope(scope) => {
                Self::new(Code::InsufficientScope, format!("The request requires the scope {scope}."))
            }
            ErrorKind::NotFound => Self::new(Code::NotFound, "There is no resource at this path."),
            ErrorKind::InvalidParameters(errors) => {
                Self { errors, ..Self::new(Code::InvalidParameters, "The member errors lists the invalid parameters.") }
            }
            ErrorKind::CodeInvalid => {
                Self::new(Code::CodeInvalid, "The code is wrong, already used or expired, or no code was sent.")
                    .with_field("token")
            }
            ErrorKind::ResetTokenInvalid => {
                Self::new(Code::ResetTokenInvalid, "The link is wrong, already used or expired.")
                    .with_field("reset_token")
            }
            ErrorKind::PasswordUnacceptable(rule) => Self {
                rule: Some(rule),
                ..Self::new(Code::PasswordUnacceptable, rule.to_string()).with_field("password")
            },
            ErrorKind::RegionNotAllowed => {
                Self::new(Code::RegionNotAllowed, "Codes are sent to mobile numbers of supported regions only.")
                    .with_field("phone")
            }
            ErrorKind::TooManyAttempts { retry_after: Some(wait) } => {
                Self::new(Code::TooManyAttempts, "Wait before you try again.").after(wait)
            }
            ErrorKind::TooManyAttempts { retry_after: None } => {
                Self::new(Code::TooManyAttempts, "The account is locked. Reset the password to sign in again.")
                    .after(A_DAY)
            }
            ErrorKind::TooManyMessages { retry_after } => {
                Self::new(Code::TooManyMessages, "Wait before you request the next message.").after(retry_after)
            }
            ErrorKind::Overloaded { retry_after } => {
                Self::new(Code::Overloaded, "The request was not processed. Try again.").after(retry_after)
            }
            ErrorKind::DependencyUnavailable(_) => {
                Self::new(Code::DependencyUnavailable, "The request was not accepted. Try again.").after(A_SECOND)
            }
        }
    }
}

impl From<ReportRefusal> for Problem {
    fn from(refusal: ReportRefusal) -> Self {
        match refusal {
            ReportRefusal::NotGenuine => {
                Self::new(Code::Forbidden, "The signature is not that of a configured provider.")
            }
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
        self.status
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
