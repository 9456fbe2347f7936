//! The messages of the verification actor. The actor checks the credential.

use crate::derive::Code;
use crate::domain::{AppName, Colour, Credential, Email, Locale, OpenUrl, Password, ResetToken, UserId};
use crate::error::ErrorKind;
use crate::stores::Application;
use actix::Message;
use std::net::IpAddr;
use tokio_util::sync::CancellationToken;

/// Send a code to a phone.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct IssueCode {
    pub credential: Credential,
    /// The number as it was typed. A national number is read as one of the policy's default region.
    pub phone: String,
    /// Used if the account has no language.
    pub locale: Option<Locale>,
    pub peer: IpAddr,
}

/// Compare a code with the one that was sent, and store the number as verified.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct VerifyCode {
    pub credential: Credential,
    pub code: Code,
}

/// Mail a reset link if an account has this address. The answer does not tell whether one has.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct IssueReset {
    pub email: Email,
    /// `None` means the default application.
    pub app: Option<AppName>,
    /// Used if the account has no language.
    pub locale: Option<Locale>,
    pub peer: IpAddr,
}

/// Mail a reset link to a user, from the console.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct SendReset {
    /// A session of the console.
    pub credential: Credential,
    pub user: UserId,
    pub peer: IpAddr,
}

/// Is this reset link valid, and for which application? Changes nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<Appearance, ErrorKind>")]
pub struct InspectReset(pub ResetToken);

/// How does an application present itself? The default one if there is no name, or no application of this name.
#[derive(Debug, Message)]
#[rtype(result = "Result<Appearance, ErrorKind>")]
pub struct DescribeApplication(pub Option<AppName>);

/// How an application presents itself to its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appearance {
    pub app: AppName,
    /// Its name for people.
    pub brand: String,
    /// The colour of its pages and mails.
    pub colour: Option<Colour>,
    /// Opens it on the device of the reader.
    pub open_url: Option<OpenUrl>,
    /// Whether the user of the link that was inspected was invited and has no password yet.
    pub invited: bool,
}

impl From<Application> for Appearance {
    fn from(application: Application) -> Self {
        let Application { name: app, brand, colour, open_url, .. } = application;
        Self { app, brand, colour, open_url, invited: false }
    }
}

/// Set a new password by a reset link, and sign the user out everywhere.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct FinishReset {
    pub token: ResetToken,
    pub password: Password,
    /// Cancelled when the client has gone. A hash that has not begun is not computed then.
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
    pub phones_verified: u64,
    /// Mails queued for addresses that an account has.
    pub resets_issued: u64,
    /// Passwords set by a link.
    pub resets_finished: u64,
    /// Codes that were not sent again because the last send was too recent.
    pub resends_too_early: u64,
    /// Guesses that were compared, right or wrong.
    pub guesses_compared: u64,
    /// Requests about a code whose guesses were used up.
    pub guesses_used_up: u64,
    pub running: u64,
}
