//! How an application looks on its pages and in its mails.

use super::Invalid;
use std::fmt;
use std::str::FromStr;

/// A colour: six hexadecimal digits in lower case, as in CSS after `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colour(String);

impl Colour {
    pub(super) fn from_rgb([red, green, blue]: [u8; 3]) -> Self {
        Self(format!("{red:02x}{green:02x}{blue:02x}"))
    }

    /// The six digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Colour {
    type Err = Invalid;

    /// With or without `#`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        let valid = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if valid { Ok(Self(digits.to_ascii_lowercase())) } else { Err(Invalid("must be six hexadecimal digits")) }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A URL that opens an application on the device of the reader: `https://…`, or a scheme of the application's own
/// (RFC 8252 §7.1). Never one that runs a script or reads a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUrl(String);

impl OpenUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Schemes that a browser interprets itself.
const NOT_AN_APPLICATION: [&str; 8] =
    ["http", "javascript", "data", "blob", "file", "about", "vbscript", "view-source"];

impl FromStr for OpenUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const FAULT: Invalid = Invalid("must be an https URL, or a URL with the application's own scheme");
        let (scheme, rest) = text.split_once(':').ok_or(FAULT)?;
        let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let forbidden = NOT_AN_APPLICATION.iter().any(|other| scheme.eq_ignore_ascii_case(other));
        let plain = text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if named && !forbidden && plain && rest.len() > 2 { Ok(Self(text.to_owned())) } else { Err(FAULT) }
    }
}

/// Whether a text can be the name of an application for people: 1 to 64 characters on one line, since it is part of the
/// subjects of mails.
pub fn is_brand(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_six_digits() {
        assert_eq!("#1F5fd6".parse::<Colour>().expect("a colour").as_str(), "1f5fd6");
        for text in ["", "#", "fff", "1f5fd6aa", "1f5fdg", "é5fd6a", "red"] {
            assert!(text.parse::<Colour>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_opens_an_application_and_runs_nothing() {
        for url in ["https://app.example.com/", "beyondvip://home", "com.example.app:/signin"] {
            assert!(url.parse::<OpenUrl>().is_ok(), "{url}");
        }
        for url in ["", "home", "http://app.example.com", "JavaScript:alert(1)", "data:text/html,x", "my app://x", "x:"]
        {
            assert!(url.parse::<OpenUrl>().is_err(), "{url}");
        }
    }
}
