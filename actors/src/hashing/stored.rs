//! Stored hashes: parsed, checked against bounds before any work, and compared with a password.

use super::HashingError;
use super::argon::{Argon2id, Parameters, Version};
use super::policy::Cost;
use crate::domain::Invalid;
use argon2_rust::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::ops::RangeInclusive;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The longest accepted text in bytes. The longest hash within the bounds below is shorter.
const LONGEST: usize = 256;
/// Accepted bytes of salt and of tag in an argon2 hash (RFC 9106 §3.1 recommends 16; shorter tags can be guessed).
const SALT: RangeInclusive<usize> = 8..=64;
const TAG: RangeInclusive<usize> = 16..=64;
/// Bytes of salt and of tag in a new hash.
const NEW_SALT: usize = 16;
const NEW_TAG: usize = 32;
/// Accepted costs of a bcrypt hash. With 14 it takes about a second.
const BCRYPT: RangeInclusive<u32> = 4..=14;

/// A stored hash of bounded cost.
pub(super) enum Stored {
    /// `$argon2id$…`
    Argon2id { parameters: Parameters, tag: Vec<u8> },
    /// `$2a$…`, `$2b$…` or `$2y$…`: imported from other services.
    Bcrypt { text: String, cost: u32 },
}

/// Checks, without hashing, that sign-ins can use `stored`: the scheme is known, and the cost is bounded. Returns what
/// a comparison costs, in the unit of [`Cost::work`].
///
/// # Errors
/// [`Invalid`] with the reason.
pub fn acceptable(stored: &str) -> Result<u64, Invalid> {
    Stored::parse(stored).map(|stored| stored.work())
}

impl Stored {
    /// Parses a stored hash.
    ///
    /// # Errors
    /// [`Invalid`] with the reason.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > LONGEST {
            return Err(Invalid("a password hash is at most 256 bytes long"));
        }
        if text.starts_with("$argon2id$") {
            Self::parse_argon2id(text)
        } else if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            Self::parse_bcrypt(text)
        } else {
            Err(Invalid("a password hash is $argon2id$, $2a$, $2b$ or $2y$"))
        }
    }

    fn parse_argon2id(text: &str) -> Result<Self, Invalid> {
        let read = argon2_rust::decode_string(text, Algorithm::Argon2id)
            .map_err(|_| Invalid("the argon2id hash is malformed or beyond argon2's own bounds"))?;
        let cost = Cost::new(read.params.memory_kib(), read.params.passes(), read.params.lanes())?;
        if !SALT.contains(&read.salt.len()) {
            return Err(Invalid("the salt of an argon2id hash is 8 to 64 bytes"));
        }
        if !TAG.contains(&read.hash.len()) {
            return Err(Invalid("the tag of an argon2id hash is 16 to 64 bytes"));
        }
        let version = match read.version {
            argon2_rust::Version::V0x10 => Version::V16,
            argon2_rust::Version::V0x13 => Version::V19,
        };
        Ok(Self::Argon2id { parameters: Parameters { cost, version, salt: read.salt }, tag: read.hash })
    }

    fn parse_bcrypt(text: &str) -> Result<Self, Invalid> {
        let malformed = Invalid("the bcrypt hash is malformed");
        let cost = text.parse::<bcrypt::HashParts>().map_err(|_| malformed)?.get_cost();
        if !text[4..6].bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed);
        }
        if !BCRYPT.contains(&cost) {
            return Err(Invalid("the cost of a bcrypt hash is 4 to 14"));
        }
        Ok(Self::Bcrypt { text: text.to_owned(), cost })
    }

    /// Replaces the hash of an account that does not exist: the current cost, and a tag that no password has.
    pub fn decoy(cost: Cost) -> Self {
        let parameters = Parameters { cost, version: Version::V19, salt: vec![0; NEW_SALT] };
        Self::Argon2id { parameters, tag: vec![0; NEW_TAG] }
    }

    /// Whether this server may have made it, with this or an earlier configuration.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Argon2id { .. })
    }

    /// What one comparison costs, in the unit of [`Cost::work`].
    pub fn work(&self) -> u64 {
        match self {
            Self::Argon2id { parameters, .. } => parameters.cost.work(),
            // Measured: bcrypt at cost 10 takes as long as argon2id over 200 MiB.
            Self::Bcrypt { cost, .. } => 200 << cost,
        }
    }

    /// Whether `password` is the right one.
    ///
    /// # Errors
    /// [`HashingError::Failed`]: it could not be computed.
    pub fn matches(&self, argon2id: &mut dyn Argon2id, password: &str) -> Result<bool, HashingError> {
        match self {
            Self::Argon2id { parameters, tag } => {
                let mut computed = Zeroizing::new(vec![0; tag.len()]);
                argon2id.derive(parameters, password.as_bytes(), &mut computed)?;
                Ok(computed.ct_eq(tag).into())
            }
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).map_err(|_| HashingError::Failed),
        }
    }

    /// Whether a new hash of cost `current` would be better.
    pub fn is_outdated(&self, current: &Cost) -> bool {
        match self {
            Self::Argon2id { parameters, tag } => {
                parameters.cost.is_cheaper_than(current)
                    || parameters.version < Version::V19
                    || parameters.salt.len() < NEW_SALT
                    || tag.len() < NEW_TAG
            }
            Self::Bcrypt { .. } => true,
        }
    }
}

/// A new hash of `password` as a PHC string.
///
/// # Errors
/// [`HashingError::Failed`]: it could not be computed.
pub(super) fn new_hash(
    argon2id: &mut dyn Argon2id,
    cost: Cost,
    salt: [u8; NEW_SALT],
    password: &str,
) -> Result<String, HashingError> {
    let parameters = Parameters { cost, version: Version::V19, salt: salt.to_vec() };
    let mut tag = [0; NEW_TAG];
    argon2id.derive(&parameters, password.as_bytes(), &mut tag)?;
    Ok(format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        cost.memory_kib(),
        cost.iterations(),
        cost.lanes(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(tag)
    ))
}
