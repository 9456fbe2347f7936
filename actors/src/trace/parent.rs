//! `traceparent` of W3C Trace Context: where a request stands in a trace that began elsewhere.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use std::fmt;

/// A span of another process or of an earlier request, and whether it was recorded. `tracestate` is not kept: nothing is
/// sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// The caller records this trace.
    pub sampled: bool,
}

/// The length of version 00. Later versions may have more after a further hyphen.
const LENGTH: usize = 55;

impl TraceParent {
    /// Parses the value of the header (W3C Trace Context §3.2.2). `None` if it is not valid: then there is no parent.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let hyphens = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        if !hyphens {
            return None;
        }
        let version = number(&known[..2])?;
        let has_valid_end = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        let trace_id = TraceId::from(number(&known[3..35])?);
        let span_id = SpanId::from(u64::try_from(number(&known[36..52])?).ok()?);
        let sampled = number(&known[53..])? & 1 == 1;
        let is_valid = has_valid_end && trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
        is_valid.then_some(Self { trace_id, span_id, sampled })
    }

    pub(super) fn context(&self) -> Context {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        let span = SpanContext::new(self.trace_id, self.span_id, flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    }
}

impl fmt::Display for TraceParent {
    /// As version 00 of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Of at most 32 lower-case hexadecimal digits. Upper case is not valid.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_header_is_read_and_written_again() {
        let parent = TraceParent::parse(VALID.as_bytes()).expect("is valid");
        assert_eq!(parent.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id.to_string(), "b7ad6b7169203331");
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), VALID);
        let unsampled = VALID.replace("-01", "-00");
        assert!(!TraceParent::parse(unsampled.as_bytes()).expect("is valid").sampled);
        // Level 2 has a second flag: the trace id is random.
        assert!(TraceParent::parse(VALID.replace("-01", "-03").as_bytes()).expect("is valid").sampled);
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let later = VALID.replacen("00", "cc", 1);
        for text in [later.clone(), format!("{later}-"), format!("{later}-what-comes-then")] {
            let parent = TraceParent::parse(text.as_bytes()).expect(&text);
            assert_eq!(parent.to_string(), VALID);
        }
        assert_eq!(TraceParent::parse(format!("{later}.1").as_bytes()), None);
    }

    #[test]
    fn an_invalid_header_is_no_parent() {
        for text in [
            "",
            "00",
            &VALID[..54],
            &VALID[1..],
            &format!("{VALID}-"),
            &format!("{VALID}0"),
            &format!(" {VALID}"),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen("00", "0x", 1),
            &VALID.replace("0af", "0AF"),
            &VALID.replace("b7ad", "B7AD"),
            &VALID.replace("-01", "-0F"),
            &VALID.replace("-01", "-0g"),
            &VALID.replace('-', "_"),
            &VALID.replace("0af", "+af"),
            &VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            &VALID.replace("0af", "0\u{e4}"),
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }
}
