//! Sixteen bytes that a store holds instead of a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The first 16 bytes of a SHA-256 (of a secret with at least 128 random bits) or of an HMAC-SHA-256 (of a short one).
/// Finding the secret of a digest takes 2^128 tries. A collision is useless, since this server makes all secrets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 16]);

impl Digest {
    /// Of a secret with at least 128 bits of entropy.
    pub fn of(secret: &[u8]) -> Self {
        Self::truncate(&Sha256::digest(secret))
    }

    /// The first 16 bytes of a longer code.
    pub(crate) fn truncate(code: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let length = code.len().min(16);
        bytes[..length].copy_from_slice(&code[..length]);
        Self(bytes)
    }

    /// From exactly 16 stored bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// From the 22 characters of [`Digest::to_text`].
    pub fn from_text(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Self::from_slice(&bytes))
    }

    /// The bytes, as stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 22 characters of base64url: the id of a session for its user.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl Serialize for Digest {
    /// As [`Digest::to_text`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 22];
        URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).map_err(S::Error::custom)?;
        serializer.serialize_str(str::from_utf8(&text).map_err(S::Error::custom)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}
