//! Parsed values. A string is parsed once, at the edge, and is valid from then on.
//!
//! Personal data and secrets have a redacted `Debug`. No I/O here.

mod contrast;
mod credential;
mod digest;
mod email;
mod look;
mod name;
pub mod numbering;
mod password;
mod phone;

pub use credential::{
    Credential, KeyScope, PagePlace, PageToken, PageTokenBody, ResetToken, ServerKey, UserToken, UserTokenBody,
};
pub use digest::Digest;
pub use email::{Email, EmailPrefix};
pub use look::{Colour, OpenUrl, is_brand};
pub use name::{AppName, DeviceToken, KeyName, Locale, MobileOs, PersonName, PushToken};
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

/// An enum whose values have names in requests, in stores or on the command line. With `otherwise` it can be parsed, and
/// that is the error.
macro_rules! named_values {
    (
        $(#[$attribute:meta])* pub enum $enum:ident { $($(#[$doc:meta])* $value:ident = $name:literal,)+ }
        $(otherwise $invalid:literal)?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum {
            $($(#[$doc])* $value,)+
        }

        impl $enum {
            /// All values.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$value),+];

            /// Their names.
            pub const NAMES: [&'static str; Self::ALL.len()] = [$($name),+];

            /// The name of the value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            /// The value with this name, whatever the case of its letters.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str().eq_ignore_ascii_case(name))
            }
        }

        impl serde::Serialize for $enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        $(impl std::str::FromStr for $enum {
            type Err = crate::domain::Invalid;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::named(name).ok_or(crate::domain::Invalid($invalid))
            }
        })?
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
impl AppId {
    /// Stands for the pages of this server in sessions: ids of applications begin with 1.
    pub const PAGES: Self = Self(0);
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
pub(crate) use {named_values, redacted_debug};
