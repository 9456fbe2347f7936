//! Short texts with a meaning: applications, devices, push tokens, people's names, locales.

use super::{Digest, Invalid, named_values, redacted_debug};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The rule for short texts: not empty, not too long, no control characters (so it is safe in a header or a log).
fn short(text: &str, longest: usize) -> Result<String, Invalid> {
    if text.is_empty() {
        return Err(Invalid("is empty"));
    }
    if text.chars().count() > longest {
        return Err(Invalid("is too long"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid("has control characters"));
    }
    Ok(text.to_owned())
}

macro_rules! short_text {
    ($(#[$doc:meta])* $name:ident, $longest:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The most characters.
            pub const LONGEST: usize = $longest;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                short(text, Self::LONGEST).map(Self)
            }
        }
    };
}

short_text! {
    /// The client's unique identifier of its device, such as an iOS UDID; at most 255 characters, not secret.
    DeviceToken, 255
}
short_text! {
    /// The identifier of a device at the push service of Apple or Google; at most 4,096 characters.
    PushToken, 4096
}
short_text! {
    /// A first or last name; at most 255 characters, no control characters.
    PersonName, 255
}
short_text! {
    /// What a server key is for, for people; at most 64 characters, no control characters.
    KeyName, 64
}
redacted_debug!(DeviceToken, PushToken, PersonName, KeyName);

impl PushToken {
    /// Unique in its place, since not every database can index a column of 4,096 characters.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

/// The public name of an application, `app_id` to clients: 1–64 of `[a-z0-9._-]`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(Arc<str>);

impl AppName {
    /// The most characters.
    pub const LONGEST: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=Self::LONGEST).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err(Invalid("is not an application's name")) }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

named_values! {
    /// The operating system of a client.
    pub enum MobileOs {
        /// `ios`
        Ios = "ios",
        /// `android`
        Android = "android",
    }
    otherwise "is neither ios nor android"
}

named_values! {
    /// A language that messages are written in, by its primary subtag (BCP 47).
    #[derive(Default)]
    pub enum Locale {
        /// English, the fallback.
        #[default]
        En = "en",
        /// Spanish.
        Es = "es",
    }
}

impl Locale {
    /// The best match of an `Accept-Language` header (RFC 9110 §12.5.4); `None` if it contains none of these.
    pub fn from_accept_language(header: &str) -> Option<Self> {
        let weight = |params: &str| {
            let quality = params.split(';').find_map(|p| p.trim().strip_prefix("q=")).unwrap_or("1");
            quality.parse::<f32>().unwrap_or(0.0)
        };
        let mut best = None;
        for part in header.split(',').take(32) {
            let (tag, params) = part.trim().split_once(';').unwrap_or((part.trim(), ""));
            let (Ok(locale), q) = (tag.parse::<Self>(), weight(params)) else { continue };
            if q > 0.0 && best.is_none_or(|(_, held)| q > held) {
                best = Some((locale, q));
            }
        }
        best.map(|(locale, _)| locale)
    }
}

impl FromStr for Locale {
    type Err = Invalid;

    /// Reads the primary subtag of a language tag: `es-MX` is Spanish.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let primary = text.split(['-', '_']).next().and_then(Self::named);
        primary.ok_or(Invalid("is not a language that messages are written in"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_known_language_wins() {
        assert_eq!(Locale::from_accept_language("fr, es-MX;q=0.8, en;q=0.9"), Some(Locale::En));
        assert_eq!(Locale::from_accept_language("es-ES"), Some(Locale::Es));
        assert_eq!(Locale::from_accept_language("en;q=0, es;q=0.1"), Some(Locale::Es));
        assert_eq!(Locale::from_accept_language("fr;q=x,,;;"), None);
    }

    #[test]
    fn names_carry_no_line_breaks() {
        assert!("Ada\r\nBcc: x".parse::<PersonName>().is_err());
        assert!("María José O’Neil".parse::<PersonName>().is_ok());
        assert!("a".repeat(256).parse::<DeviceToken>().is_err());
        assert!("Beyond VIP".parse::<AppName>().is_err());
    }
}
