//! Which region a phone number belongs to, and whether an SMS to it has an ordinary price, by the tables of libphonenumber
//! (the `phonenumber` crate).
//!
//! The crate compiles its patterns on demand and caches a hundred, but North America alone has two hundred: a number of
//! no region took 64 ms. Here the patterns of a calling code are compiled once, into one set.

use super::Phone;
use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Descriptor, Metadata};
use regex::{RegexSet, RegexSetBuilder};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A range of numbers that a plan assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The region (ISO 3166 alpha-2).
    pub region: &'static str,
    /// Mobile, or a plan that does not distinguish it from a fixed line (as in North America). All others cost more or
    /// cannot receive an SMS: premium rate, shared cost, toll-free, VoIP, personal and company-wide numbers, pagers,
    /// voicemail, fixed lines.
    pub is_mobile: bool,
}

/// The entry of a number in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// It is in this range.
    To(Range),
    /// It is in no range of the tables. Numbering plans grow faster than the tables.
    ToNone,
}

/// The kinds in the order of the look-up: the expensive ones first, then those that reach a person.
const KINDS: [Type; 10] = [
    Type::PremiumRate,
    Type::TollFree,
    Type::SharedCost,
    Type::Voip,
    Type::PersonalNumber,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
    Type::Mobile,
    Type::FixedLine,
];

/// Looks a number up. The first number of a calling code compiles the patterns of that code, which may take 100 ms; see
/// [`prepare`].
///
/// `None` if there is no such calling code, or its patterns cannot be compiled.
pub fn look_up(phone: &Phone) -> Option<Assigned> {
    let (code, national) = phone.split()?;
    let plans = plans_of(code)?;
    let length = u16::try_from(national.len()).unwrap_or(u16::MAX);
    let mut matched = plans.set.matches(national).into_iter().map(|place| &plans.kinds[place]);
    let matched = matched.find(|kind| kind.lengths.is_empty() || kind.lengths.contains(&length));
    Some(match matched {
        Some(Kind { region, kind, .. }) => Assigned::To(Range { region, is_mobile: matches!(kind, Type::Mobile) }),
        None => Assigned::ToNone,
    })
}

/// Whether a number has the calling code of this region.
pub fn shares_code(phone: &Phone, region: &str) -> bool {
    phone.split().is_some_and(|(code, _)| calling_code(region) == Some(code))
}

/// The calling code of a region; `None` if there is no such region.
fn calling_code(region: &str) -> Option<u16> {
    DATABASE.by_id(region).map(Metadata::country_code)
}

/// Loads the tables, and compiles the patterns of these regions.
pub fn prepare<'a>(regions: impl Iterator<Item = &'a str>) {
    for code in regions.filter_map(calling_code) {
        plans_of(code);
    }
}

/// The patterns of all regions of a calling code, the main region's first, and of each region in the order of [`KINDS`].
struct Plans {
    set: RegexSet,
    kinds: Vec<Kind>,
}

struct Kind {
    region: &'static str,
    kind: Type,
    /// Empty means any.
    lengths: &'static [u16],
}

fn plans_of(code: u16) -> Option<Arc<Plans>> {
    static COMPILED: LazyLock<Mutex<HashMap<u16, Option<Arc<Plans>>>>> = LazyLock::new(Mutex::default);
    // Concurrent callers wait for the same result.
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    compiled.entry(code).or_insert_with(|| compile(code).map(Arc::new)).clone()
}

fn compile(code: u16) -> Option<Plans> {
    let (mut patterns, mut kinds) = (Vec::new(), Vec::new());
    for plan in DATABASE.by_code(&code)? {
        for kind in KINDS {
            let Some(descriptor) = plan.descriptors().get(kind) else { continue };
            patterns.push(whole(descriptor));
            kinds.push(Kind { region: plan.id(), kind, lengths: descriptor.possible_length() });
        }
    }
    let set = RegexSetBuilder::new(patterns).unicode(false).ignore_whitespace(true).size_limit(SIZE).build();
    match set {
        Ok(set) => Some(Plans { set, kinds }),
        Err(error) => {
            tracing::error!(code, %error, "the numbering plans of a calling code cannot be used");
            None
        }
    }
}

/// Far more than any calling code needs.
const SIZE: usize = 64 << 20;

fn whole(descriptor: &Descriptor) -> String {
    format!("^(?:{})$", descriptor.national_number().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(text: &str) -> Option<Assigned> {
        look_up(&Phone::parse(text, "US").unwrap_or_else(|_| panic!("{text} is possible")))
    }

    #[test]
    fn the_region_is_the_numbers_and_not_the_calling_codes() {
        let mobiles = [("+12125550123", "US"), ("+14165550123", "CA"), ("+18765550123", "JM"), ("+34612345678", "ES")];
        for (text, region) in mobiles {
            assert_eq!(assigned(text), Some(Assigned::To(Range { region, is_mobile: true })), "{text}");
        }
        for text in ["(123)456-7890", "+34 012 345 678"] {
            assert_eq!(assigned(text), Some(Assigned::ToNone), "{text}: nobody assigns these");
        }
    }

    #[test]
    fn what_costs_more_or_reaches_no_phone_is_no_mobile() {
        let others = [
            ("+19002345678", "US", "premium rate"),
            ("+18002345678", "US", "toll-free"),
            ("+15002345678", "US", "personal"),
            ("+34803123456", "ES", "premium rate"),
            ("+34901123456", "ES", "shared cost"),
            ("+34912345678", "ES", "fixed line"),
            ("+448431234567", "GB", "shared cost"),
            ("+445612345678", "GB", "VoIP"),
        ];
        for (text, region, what) in others {
            assert_eq!(assigned(text), Some(Assigned::To(Range { region, is_mobile: false })), "{text}: {what}");
        }
    }

    /// The crate's own cache, of a hundred patterns, is what a client could make compile anew with every request.
    #[test]
    fn alternating_regions_compiles_nothing_again() {
        let first = [1, 44, 7].map(|code| plans_of(code).expect("it exists"));
        for text in ["(123)456-7890", "+441999999999", "+79999999999"].iter().cycle().take(1_000) {
            assert!(assigned(text).is_some(), "{text}");
        }
        let last = [1, 44, 7].map(|code| plans_of(code).expect("it exists"));
        assert!(first.iter().zip(&last).all(|(first, last)| Arc::ptr_eq(first, last)));
    }

    /// Those that several regions share, and the one with the largest patterns.
    #[test]
    fn the_patterns_of_large_plans_can_be_used() {
        for code in [1, 7, 39, 44, 45, 61, 262, 358, 590, 599] {
            assert!(plans_of(code).is_some(), "{code}");
        }
    }
}
