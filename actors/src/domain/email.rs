//! An e-mail address. Accounts are found by it.

use super::{Invalid, redacted_debug};
use std::str::FromStr;

/// A well-formed ASCII address (RFC 5321 mailbox without quoting and literals), lower case, at most 254 characters.
///
/// Lower case, because users type their address in any case, and no mail system in use distinguishes `Ada@` from `ada@`.
/// Only ASCII, so two accounts cannot look the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The longest address that fits a forward-path (RFC 5321 §4.5.3.1.3 less the angle brackets).
    pub const LONGEST: usize = 254;

    /// The address in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// `a…@example.com`, for logs and lists.
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('?');
        format!("{first}…@{}", self.domain())
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const NOT_ONE: Invalid = Invalid("is not an e-mail address");
        let text = text.trim_matches(' ');
        if text.len() > Self::LONGEST {
            return Err(Invalid("is longer than 254 characters"));
        }
        let (local, domain) = text.rsplit_once('@').ok_or(NOT_ONE)?;
        let atom = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
        };
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if local.len() > 64 || !local.split('.').all(atom) || !domain.contains('.') || !domain.split('.').all(label) {
            return Err(NOT_ONE);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

redacted_debug!(Email);

/// The beginning of an address, for a search: lower case, at most 254 characters that an address may have.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailPrefix(String);

impl EmailPrefix {
    /// The first text that may be an address with this beginning, in the order of bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first text after all of them.
    pub fn end(&self) -> String {
        let mut bytes = self.0.clone().into_bytes();
        // It is at most `~`, so that the next one is ASCII as well.
        if let Some(last) = bytes.last_mut() {
            *last += 1;
        }
        String::from_utf8(bytes).unwrap_or_default()
    }
}

impl FromStr for EmailPrefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.len() > Email::LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Invalid("is not the beginning of an e-mail address"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

redacted_debug!(EmailPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_lower_case() {
        let email: Email = " Ada.Admin+x@Example.COM ".parse().expect("well formed");
        assert_eq!(email.as_str(), "ada.admin+x@example.com");
        assert_eq!(email.masked(), "a…@example.com");
        assert_eq!(format!("{email:?}"), "Email(…)");
    }

    #[test]
    fn a_beginning_has_an_end() {
        let prefix = |text: &str| text.parse::<EmailPrefix>();
        let found = prefix(" Ada@").expect("a beginning");
        assert_eq!((found.as_str(), found.end().as_str()), ("ada@", "adaA"));
        assert_eq!(prefix("a~").expect("a beginning").end(), "a\u{7f}");
        for text in ["", " ", "a b", "é", "a\u{7f}", &"a".repeat(255)] {
            assert!(prefix(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for text in [
            "",
            "a",
            "@b.c",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b..c",
            ".a@b.cd",
            "a.@b.cd",
            "a@-b.cd",
            "a@b.cd\r\nBcc: x@y.zz",
            "a\0@b.cd",
            "а@b.cd",
            "a@bücher.de",
            "\"a\"@b.cd",
            "a@[127.0.0.1]",
            "a@b.cd,c@d.ef",
            "<a@b.cd>",
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
        assert!(format!("{}@example.com", "a".repeat(65)).parse::<Email>().is_err());
        assert!(format!("a@{}.com", "b.".repeat(130)).parse::<Email>().is_err());
    }
}
