//! Credentials: user tokens, server keys, sessions of pages, reset tokens. Parsing checks the form only. `derive` checks whether one is
//! genuine, and a store whether it is live.

use super::{Digest, Invalid, UserId, named_values, redacted_debug};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::str::FromStr;

/// The part of a [`UserToken`] that its authentication code covers: 8 bytes of user id (big-endian) and 16 random bytes.
pub type UserTokenBody = [u8; 24];

/// A secret of a fixed number of bytes, written as base64url. A store holds its digest instead.
macro_rules! secret {
    ($(#[$doc:meta])* $secret:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $secret([u8; $bytes]);

        impl $secret {
            /// What the store holds instead of the secret.
            pub fn digest(&self) -> Digest {
                Digest::of(&self.0)
            }

            /// The secret itself, for the one message that shows it.
            pub fn expose(&self) -> String {
                URL_SAFE_NO_PAD.encode(self.0)
            }
        }

        impl FromStr for $secret {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                decode(text).map(Self)
            }
        }

        redacted_debug!($secret);
    };
}

secret! {
    /// `base64url(user id ‖ 16 random bytes ‖ 8-byte authentication code)`, 43 characters. The digest is also the id of the
    /// session.
    UserToken, 32
}

impl UserToken {
    pub(crate) fn assemble(body: UserTokenBody, code: [u8; 8]) -> Self {
        let mut bytes = [0; 32];
        bytes[..24].copy_from_slice(&body);
        bytes[24..].copy_from_slice(&code);
        Self(bytes)
    }

    /// The user that it was issued to, if it is genuine.
    pub fn user(&self) -> UserId {
        user_of(&self.0)
    }

    /// The part that the authentication code covers.
    pub fn body(&self) -> &[u8] {
        &self.0[..24]
    }

    /// The authentication code.
    pub fn code(&self) -> &[u8] {
        &self.0[24..]
    }
}

/// The part of a [`PageToken`] that its authentication code covers: the place, 8 bytes of user id (big-endian) and 16 random
/// bytes.
pub type PageTokenBody = [u8; 25];

secret! {
    /// `base64url(place ‖ user id ‖ 16 random bytes ‖ 8-byte authentication code)`, 44 characters: what the cookie of a page
    /// holds. Only pages take it, and they take nothing else. The digest is also the id of the session.
    PageToken, 33
}

/// The pages that a [`PageToken`] opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PagePlace {
    /// `/settings`, for every user.
    Settings = 1,
    /// `/admin`, for administrators.
    Console = 2,
}

impl PageToken {
    pub(crate) fn assemble(body: PageTokenBody, code: [u8; 8]) -> Self {
        let mut bytes = [0; 33];
        bytes[..25].copy_from_slice(&body);
        bytes[25..].copy_from_slice(&code);
        Self(bytes)
    }

    /// Whether it is for these pages.
    pub fn is_for(&self, place: PagePlace) -> bool {
        self.0[0] == place as u8
    }

    /// The user that it was issued to, if it is genuine.
    pub fn user(&self) -> UserId {
        user_of(&self.0[1..])
    }

    /// The part that the authentication code covers.
    pub fn body(&self) -> &[u8] {
        &self.0[..25]
    }

    /// The authentication code.
    pub fn code(&self) -> &[u8] {
        &self.0[25..]
    }
}

secret! {
    /// The key of a back end: 16 random bytes as 22 characters of base64url.
    ServerKey, 16
}

impl ServerKey {
    /// From fresh random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }
}

secret! {
    /// `base64url(user id ‖ 24 derived bytes)`, 43 characters: the secret part of a reset link.
    ResetToken, 32
}

impl ResetToken {
    pub(crate) fn assemble(user: UserId, derived: [u8; 24]) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&user.0.to_be_bytes());
        bytes[8..].copy_from_slice(&derived);
        Self(bytes)
    }

    /// The user whose password it may set.
    pub fn user(&self) -> UserId {
        user_of(&self.0)
    }
}

/// What a request proves its sender with. The first two kinds are the value of `Authorization` or `auth_token`, and differ
/// in length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// From a sign-in.
    User(UserToken),
    /// Of the back end of an application.
    Key(ServerKey),
    /// From the cookie of a page, and never from a text that a client sends elsewhere.
    Page(PageToken),
}

impl FromStr for Credential {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self::User).or_else(|_| text.parse().map(Self::Key))
    }
}

named_values! {
    /// What a server key may do.
    pub enum KeyScope {
        /// Calls of a user, as the owner of the key.
        OwnerAct = "owner:act",
        /// Introspect tokens (RFC 7662).
        TokensIntrospect = "tokens:introspect",
        /// Sign users out of the application of the key.
        SessionsRevoke = "sessions:revoke",
        /// Read the push registrations of a user.
        DevicesRead = "devices:read",
        /// Read accounts.
        UsersRead = "users:read",
        /// Create, change, disable and delete accounts, but not those of administrators.
        UsersWrite = "users:write",
    }
    otherwise "is none of owner:act, tokens:introspect, sessions:revoke, devices:read, users:read, users:write"
}

impl KeyScope {
    /// The scopes in the form of OAuth: separated by spaces (RFC 6749 §3.3).
    pub fn join(scopes: &[Self]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// From the first 8 bytes.
fn user_of(bytes: &[u8]) -> UserId {
    let mut id = [0; 8];
    id.copy_from_slice(&bytes[..8]);
    UserId(i64::from_be_bytes(id))
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], Invalid> {
    // Room for the estimate of the decoder, which counts whole groups.
    let mut bytes = [0; 48];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok();
    let decoded = length.and_then(|length| bytes[..length].try_into().ok());
    decoded.ok_or(Invalid("is not a token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_are_told_apart_by_length() {
        let token = UserToken::assemble([7; 24], [9; 8]);
        assert_eq!(token.expose().parse(), Ok(Credential::User(token)));
        assert!(matches!("2zLJaxqVzKJgQ0XfYIg8Wg".parse(), Ok(Credential::Key(_))));
        for text in ["", "short", "2zLJaxqVzKJgQ0XfYIg8W", "2zLJaxqVzKJgQ0XfYIg8Wg==", "2zLJaxqVzKJgQ0XfYIg8W/"] {
            assert!(text.parse::<Credential>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_hides_them() {
        let key: Credential = "2zLJaxqVzKJgQ0XfYIg8Wg".parse().expect("well formed");
        assert_eq!(format!("{key:?}"), "Key(ServerKey(…))");
    }
}
