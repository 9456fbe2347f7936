//! Times and waits as people read them.

use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::Locale;
use std::fmt;

const MONTHS: [[&str; 12]; 2] = [
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"],
];

/// `24 Nov 2026, 02:52 UTC`.
pub fn readable(locale: Locale, time: Timestamp) -> String {
    let text = time.to_string();
    let month = text.get(5..7).and_then(|month| month.parse::<usize>().ok()).and_then(|month| month.checked_sub(1));
    match (text.get(..4), month.and_then(|month| MONTHS[locale as usize].get(month)), text.get(8..10), text.get(11..16))
    {
        (Some(year), Some(month), Some(day), Some(minute)) => {
            format!("{} {month} {year}, {minute} UTC", day.trim_start_matches('0'))
        }
        _ => text,
    }
}

/// A time on a page: `<time datetime="2026-11-24T02:52:26Z">24 Nov 2026, 02:52 UTC</time>`. It has no text of others, so it need
/// not be escaped.
pub struct Moment(Locale, Timestamp);

impl Moment {
    pub fn new(locale: Locale, time: Timestamp) -> Self {
        Self(locale, time)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<time datetime=\"{}\">{}</time>", self.1, readable(self.0, self.1))
    }
}

/// `30 seconds`, `2 minutes`, `1 hour`, `7 days`: rounded up.
pub fn wait(locale: Locale, secs: u64) -> String {
    let (count, [one, many]) = match (secs, locale) {
        (0..=90, Locale::En) => (secs.max(1), ["second", "seconds"]),
        (0..=90, Locale::Es) => (secs.max(1), ["segundo", "segundos"]),
        (91..=5400, Locale::En) => (secs.div_ceil(60), ["minute", "minutes"]),
        (91..=5400, Locale::Es) => (secs.div_ceil(60), ["minuto", "minutos"]),
        (5401..=172_800, Locale::En) => (secs.div_ceil(3600), ["hour", "hours"]),
        (5401..=172_800, Locale::Es) => (secs.div_ceil(3600), ["hora", "horas"]),
        (_, Locale::En) => (secs.div_ceil(86_400), ["day", "days"]),
        (_, Locale::Es) => (secs.div_ceil(86_400), ["día", "días"]),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_languages() {
        let time = Timestamp::from_secs(1_788_404_046);
        assert_eq!(time.to_string(), "2026-09-03T02:54:06Z");
        assert_eq!(readable(Locale::En, time), "3 Sep 2026, 02:54 UTC");
        assert_eq!(readable(Locale::Es, time), "3 sept 2026, 02:54 UTC");
    }

    #[test]
    fn a_wait_is_never_shorter_than_it_says() {
        for (secs, text) in [(0, "1 second"), (30, "30 seconds"), (91, "2 minutes"), (3600, "60 minutes")] {
            assert_eq!(wait(Locale::En, secs), text);
        }
        assert_eq!(wait(Locale::En, 5401), "2 hours");
        assert_eq!(wait(Locale::Es, 86_400), "24 horas");
    }
}
