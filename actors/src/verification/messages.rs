//! What the verification actor can be asked. The credential is checked by the actor.

use crate::derive::Code;
use crate::domain::{AppName, Credential, Email, Locale, Password, ResetToken};
use crate::error::ErrorKind;
use actix::Message;
use std::net::IpAddr;
use tokio_util::sync::CancellationToken;

/// Send a code to a phone.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct IssueCode {
    /// Who asks.
    pub credential: Credential,
    /// The number as it was typed; what region a national spelling is of, the policy says.
    pub phone: String,
    /// The language of the request, if the account has none.
    pub locale: Option<Locale>,
    /// From where.
    pub peer: IpAddr,
}

/// Compare a code with the one that was sent, and keep the number as verified.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct VerifyCode {
    /// Who asks.
    pub credential: Credential,
    /// The digits.
    pub code: Code,
}

/// Mail a reset link, if somebody has this address; the answer never tells.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct IssueReset {
    /// The address asked for.
    pub email: Email,
    /// For which application; `None` is the default one.
    pub app: Option<AppName>,
    /// The language of the request, if the account has none.
    pub locale: Option<Locale>,
    /// From where.
    pub peer: IpAddr,
}

/// Does this reset link live? Changes nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct InspectReset(pub ResetToken);

/// Set a new password by a reset link, and sign the user out everywhere.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct FinishReset {
    /// The link's secret part.
    pub token: ResetToken,
    /// The new password.
    pub password: Password,
    /// Cancelled when nobody waits for the answer any more: a hash that was not begun is then not begun.
    pub caller: CancellationToken,
}

/// A snapshot for metrics, readiness and tests.
#[derive(Debug, Message)]
#[rtype(result = "VerificationSnapshot")]
pub struct Observe;

/// What one verification actor has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct VerificationSnapshot {
    /// Codes queued for sending.
    pub codes_issued: u64,
    /// Numbers confirmed.
    pub phones_verified: u64,
    /// Reset mails queued for known addresses.
    pub resets_issued: u64,
    /// Passwords set by a link.
    pub resets_finished: u64,
    /// Commands that run now.
    pub running: u64,
}
