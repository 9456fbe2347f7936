//! What callers prove themselves with: user tokens, server keys, reset tokens. Parsing looks at the form alone;
//! whether one is genuine is asked of the [`Keyring`](crate::derive::Keyring), whether it lives of a store.

use super::{Digest, Invalid, UserId, redacted_debug};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::str::FromStr;

/// What [`UserToken`]'s authentication code covers: 8 bytes of user id (big-endian) and 16 random bytes.
pub type UserTokenBody = [u8; 24];

/// `base64url(user id ‖ 16 random bytes ‖ 8-byte authentication code)`, 43 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct UserToken([u8; 32]);

impl UserToken {
    pub(crate) fn assemble(body: UserTokenBody, code: [u8; 8]) -> Self {
        let mut bytes = [0; 32];
        bytes[..24].copy_from_slice(&body);
        bytes[24..].copy_from_slice(&code);
        Self(bytes)
    }

    /// Whom it says it was issued to.
    pub fn user(&self) -> UserId {
        user_of(&self.0)
    }

    /// What the authentication code covers.
    pub fn body(&self) -> &[u8] {
        &self.0[..24]
    }

    /// The authentication code.
    pub fn code(&self) -> &[u8] {
        &self.0[24..]
    }

    /// What is kept of it at rest, and how its session is named.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The token itself, for the one answer that hands it out.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for UserToken {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        decode(text).map(Self)
    }
}

/// A back end's key: 16 random bytes as 22 characters of base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey([u8; 16]);

impl ServerKey {
    /// From fresh random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// What is kept of it at rest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The key itself, for the one time it is shown.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for ServerKey {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        decode(text).map(Self)
    }
}

/// `base64url(user id ‖ 24 derived bytes)`, 43 characters: the secret part of a reset link.
#[derive(Clone, PartialEq, Eq)]
pub struct ResetToken([u8; 32]);

impl ResetToken {
    pub(crate) fn assemble(user: UserId, derived: [u8; 24]) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&user.0.to_be_bytes());
        bytes[8..].copy_from_slice(&derived);
        Self(bytes)
    }

    /// Whose password it may set.
    pub fn user(&self) -> UserId {
        user_of(&self.0)
    }

    /// What is kept of it at rest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The token itself, for the mail.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for ResetToken {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        decode(text).map(Self)
    }
}

redacted_debug!(UserToken, ServerKey, ResetToken);

/// What a request presents in `Authorization` or `auth_token`: told apart by length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// From a sign-in.
    User(UserToken),
    /// Of an application's back end.
    Key(ServerKey),
}

impl FromStr for Credential {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self::User).or_else(|_| text.parse().map(Self::Key))
    }
}

/// What a server key may do; a closed list of what there are calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyScope {
    /// The calls of a user, as the key's owner.
    OwnerAct,
    /// Ask whether a token lives (RFC 7662).
    TokensIntrospect,
    /// Sign users out of the key's application.
    SessionsRevoke,
    /// Read where to push for a user.
    DevicesRead,
}

impl KeyScope {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::OwnerAct, Self::TokensIntrospect, Self::SessionsRevoke, Self::DevicesRead];

    /// As operators and stores write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnerAct => "owner:act",
            Self::TokensIntrospect => "tokens:introspect",
            Self::SessionsRevoke => "sessions:revoke",
            Self::DevicesRead => "devices:read",
        }
    }
}

impl FromStr for KeyScope {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or(Invalid("is none of owner:act, tokens:introspect, sessions:revoke, devices:read"))
    }
}

fn user_of(bytes: &[u8; 32]) -> UserId {
    let mut id = [0; 8];
    id.copy_from_slice(&bytes[..8]);
    UserId(i64::from_be_bytes(id))
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], Invalid> {
    const NOT_ONE: Invalid = Invalid("is not a token");
    if text.len() > 64 {
        return Err(NOT_ONE);
    }
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NOT_ONE)
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
