//! The types of configured values: secrets, which are never shown, URLs and keys.

use super::urls::host_fault;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use zeroize::Zeroizing;

const HIDDEN: &str = "…";

/// A secret text. `Debug` and dumps show `…`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the client that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is not set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { HIDDEN })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// A URL that may contain a password. `Debug` and dumps hide the password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The whole URL, for the client that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is not set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        // Everything before the last @ is user information. This hides a password with a slash, too.
        let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (host, query) = host.split_once('?').map_or((host, ""), |(host, _)| (host, "?…"));
        match user.split_once(':') {
            Some((name, _)) => write!(f, "{scheme}://{name}:{HIDDEN}@{host}{query}"),
            None if user.is_empty() => write!(f, "{scheme}://{host}{query}"),
            None => write!(f, "{scheme}://{user}@{host}{query}"),
        }
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// A secret of 32 bytes, configured in base64.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// From raw bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Parses base64 with or without padding. `None` if it does not encode 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok().map(Zeroizing::new)?;
        bytes.as_slice().try_into().ok().map(Self::new)
    }

    /// The bytes, for the keyring.
    pub fn expose(&self) -> &Zeroizing<[u8; 32]> {
        &self.0
    }

    /// In base64, for the key file.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for SecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for SecretKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).ok_or_else(|| de::Error::custom("must be 32 bytes in base64 (openssl rand -base64 32)"))
    }
}

/// The first part of links: an `http` or `https` URL without query, user and trailing slash. Empty if not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL without a trailing slash. May be empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is not set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = |url: &url::Url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
                && host_fault(url, false).is_none()
        };
        match url::Url::parse(&text) {
            _ if text.is_empty() => Ok(Self::default()),
            Ok(url) if plain(&url) => Ok(Self(url.as_str().trim_end_matches('/').to_owned())),
            _ => Err(de::Error::custom("must be a URL like https://sign-in.example.com")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password_and_parameters() {
        for (url, shown) in [
            ("postgres://ada:s3c/r?et@db/x", "postgres://ada:…@db/x"),
            ("postgres://ada:s3cret@db:5432/x?sslkey=k", "postgres://ada:…@db:5432/x?…"),
            ("redis://:p@ss@h/1", "redis://:…@h/1"),
            ("rediss://h", "rediss://h"),
            ("sqlite://data/portcullis.db", "sqlite://data/portcullis.db"),
        ] {
            assert_eq!(format!("{:?}", SecretUrl(url.to_owned())), shown);
        }
    }

    #[test]
    fn a_secret_key_is_exactly_32_bytes() {
        let text = STANDARD.encode([7; 32]);
        assert_eq!(SecretKey::parse(&text).map(|key| **key.expose()), Some([7; 32]));
        assert!(SecretKey::parse(text.trim_end_matches('=')).is_some());
        assert!(SecretKey::parse(&STANDARD.encode([7; 31])).is_none());
        assert!(SecretKey::parse("").is_none());
    }
}
