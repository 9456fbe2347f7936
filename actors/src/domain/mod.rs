//! Parsed values. A string is parsed once, at the edge, and is valid from then on.
//!
//! Personal data and secrets have a redacted `Debug`. No I/O here.

mod credential;
mod digest;
mod email;
mod name;
pub mod numbering;
mod password;
mod phone;

pub use credential::{Credential, KeyScope, ResetToken, ServerKey, UserToken, UserTokenBody};
pub use digest::Digest;
pub use email::Email;
pub use name::{AppName, DeviceToken, Locale, MobileOs, PersonName, PushToken};
pub use password::Password;
pub use phone::{Phone, PhoneError};

/// Why a text is invalid: the predicate of a sentence, without the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numeric_id! {
    /// The id of a user; positive. Negative ids are decoys for addresses without an account (see `derive`).
    UserId
}
numeric_id! {
    /// The id of an application. Clients use its [`AppName`].
    AppId
}
numeric_id! {
    /// The id of a device: one (user, application, `device_token`).
    DeviceId
}
numeric_id! {
    /// The id of a server key. It is not secret.
    KeyRowId
}
numeric_id! {
    /// The id of a message in the outbox.
    MessageId
}

/// A `Debug` that shows only the name of the type, for values that must not reach a log.
macro_rules! redacted_debug {
    ($($name:ident),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}
pub(crate) use redacted_debug;
