//! A password as it was typed.

use super::{Invalid, redacted_debug};
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// At most 128 code points, erased from memory when dropped. The rules for *new* passwords are in the policy: an old
/// password that breaks them still signs in.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The longest password, in code points (ASVS 6.2.9 asks for at least 64).
    pub const LONGEST: usize = 128;

    /// The text as typed. Imported hashes may be of text that was not normalised.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// NFKC of the text (NIST SP 800-63B §3.1.1.2): the same password from any keyboard.
    pub fn normalized(&self) -> Zeroizing<String> {
        if self.0.is_ascii() { self.0.clone() } else { Zeroizing::new(self.0.nfkc().collect()) }
    }
}

impl FromStr for Password {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid("is empty"));
        }
        if text.chars().count() > Self::LONGEST {
            return Err(Invalid("is longer than 128 characters"));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

redacted_debug!(Password);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_accent_are_one_password() {
        let composed: Password = "caf\u{e9}-au-lait".parse().expect("short enough");
        let decomposed: Password = "cafe\u{301}-au-lait".parse().expect("short enough");
        assert_ne!(composed.raw(), decomposed.raw());
        assert_eq!(composed.normalized(), decomposed.normalized());
    }

    #[test]
    fn length_is_counted_in_code_points() {
        assert!("é".repeat(128).parse::<Password>().is_ok());
        assert!("é".repeat(129).parse::<Password>().is_err());
        assert!("".parse::<Password>().is_err());
    }
}
