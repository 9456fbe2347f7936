//! A phone number in E.164. What the numbering plans say about it is in [`super::numbering`].

use super::redacted_debug;
use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Descriptor, Metadata};

/// A number that can exist (its length fits its calling code), in E.164: `+11234567890`.
///
/// It is *possible*, not *valid*: numbering plans grow faster than the tables.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// The text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a phone number")]
pub struct PhoneError;

impl Phone {
    /// Parses the usual spellings: national ones of `default_region` (ISO 3166 alpha-2), international ones with `+`.
    ///
    /// # Errors
    /// [`PhoneError`], also for a number with an extension: it cannot receive an SMS.
    pub fn parse(text: &str, default_region: &str) -> Result<Self, PhoneError> {
        let text = text.trim_matches(' ');
        let international = text.strip_prefix('+');
        let spelled = international.unwrap_or(text);
        let usual = |c: char| c.is_ascii_digit() || matches!(c, '(' | ')' | '-' | '.' | ' ' | '/');
        if text.len() > 64 || !spelled.chars().all(usual) {
            return Err(PhoneError);
        }
        let digits: String = spelled.chars().filter(char::is_ascii_digit).collect();
        let (code, national) = match international {
            Some(_) => split_calling_code(&digits).ok_or(PhoneError)?,
            None => national_in(&digits, default_region).ok_or(PhoneError)?,
        };
        let plans = DATABASE.by_code(&code).ok_or(PhoneError)?;
        // E.164 allows 15 digits in all. The shortest subscriber numbers have four.
        if national.len() < 4 || code.to_string().len() + national.len() > 15 {
            return Err(PhoneError);
        }
        // Some region of the calling code must have this length. No pattern is compiled here: this runs on the threads
        // of the HTTP server.
        if !plans.iter().any(|plan| has_length(plan, national)) {
            return Err(PhoneError);
        }
        Ok(Self(format!("+{code}{national}")))
    }

    /// From a stored [`Phone::as_str`].
    pub fn from_stored(e164: &str) -> Option<Self> {
        let digits = e164.strip_prefix('+')?;
        let fits = (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Self(e164.to_owned()))
    }

    /// E.164.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The calling code and the national number. `None` if the calling code does not exist, which only a stored number can
    /// have.
    pub(super) fn split(&self) -> Option<(u16, &str)> {
        split_calling_code(self.0.strip_prefix('+')?)
    }

    /// The plus sign and the first seven digits: a block of numbers that usually has one owner.
    pub fn prefix(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }

    /// `+1…90`, for logs and lists.
    pub fn masked(&self) -> String {
        let tail = self.0.len().saturating_sub(2);
        format!("{}…{}", self.0.get(..2).unwrap_or("+"), self.0.get(tail..).unwrap_or(""))
    }
}

/// The descriptors of a plan for numbers that people can be called on.
fn kinds(plan: &Metadata) -> impl Iterator<Item = &Descriptor> {
    const KINDS: [Type; 8] = [
        Type::FixedLine,
        Type::Mobile,
        Type::TollFree,
        Type::PremiumRate,
        Type::SharedCost,
        Type::PersonalNumber,
        Type::Voip,
        Type::Uan,
    ];
    KINDS.into_iter().filter_map(|kind| plan.descriptors().get(kind))
}

fn has_length(plan: &Metadata, national: &str) -> bool {
    let length = u16::try_from(national.len()).unwrap_or(u16::MAX);
    kinds(plan).any(|kind| kind.possible_length().contains(&length))
}

/// Calling codes are one to three digits and prefix-free (ITU-T E.164), so the first that exists is the one.
fn split_calling_code(digits: &str) -> Option<(u16, &str)> {
    (1..=3).find_map(|length| {
        let code = digits.get(..length)?.parse().ok()?;
        DATABASE.by_code(&code).filter(|plans| !plans.is_empty()).map(|_| (code, &digits[length..]))
    })
}

/// A national spelling of `region`: with or without the trunk prefix, and in North America with the leading 1.
fn national_in<'a>(digits: &'a str, region: &str) -> Option<(u16, &'a str)> {
    let plan = DATABASE.by_id(region)?;
    if has_length(plan, digits) {
        return Some((plan.country_code(), digits));
    }
    let trunk = plan.national_prefix()?;
    digits.strip_prefix(trunk).filter(|rest| has_length(plan, rest)).map(|rest| (plan.country_code(), rest))
}

redacted_debug!(Phone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_spellings_are_one_number() {
        for text in
            ["(123)456-7890", "123-456-7890", "123.456.7890", "+1 123 456 7890", "1 (123) 456-7890", "1234567890"]
        {
            let phone = Phone::parse(text, "US").unwrap_or_else(|_| panic!("{text} is possible"));
            assert_eq!(phone.as_str(), "+11234567890", "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_number_is_refused() {
        for text in [
            "",
            "1",
            "123",
            "555-0123",
            "(123)456-78901234",
            "+",
            "++1 212 555 0123",
            "+999 123456789",
            "call me",
            "1-800-FLOWERS",
            "+1 212 555 0123 ext. 4",
            "+12125550123;ext=4",
            "tel:+12125550123",
            "١٢٣٤٥٦٧٨٩٠",
        ] {
            assert!(Phone::parse(text, "US").is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_hides_the_number() {
        let phone = Phone::parse("+12125550123", "US").expect("possible");
        assert_eq!(format!("{phone:?}"), "Phone(…)");
        assert_eq!(phone.masked(), "+1…23");
    }
}
