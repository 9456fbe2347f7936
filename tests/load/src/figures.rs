//! Numbers as people read them: thousands separators, and units that fit the size.

use std::time::Duration;

/// A count: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or another real number, with three significant digits at least: `59,812`, `97.3`, `0.83`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let sign = if value < 0.0 { "−" } else { "" };
    match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => format!("{sign}{}", count(size.round() as u64)),
        size if size >= 9.995 => format!("{sign}{size:.1}"),
        size if size >= 0.0995 => format!("{sign}{size:.2}"),
        size => format!("{sign}{size:.3}"),
    }
}

/// A latency: `870 µs`, `1.80 ms`, `25.0 ms`, `2.40 s`, `1,200 s`.
pub fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..9_995 => format!("{:.2} ms", us as f64 / 1e3),
        9_995..99_950 => format!("{:.1} ms", us as f64 / 1e3),
        99_950..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        999_500..9_995_000 => format!("{:.2} s", us as f64 / 1e6),
        9_995_000..99_950_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{} s", count(((us as f64) / 1e6).round() as u64)),
    }
}

/// The label of a grid line, which is a round number: `20,000`, `0.5`.
pub fn round_number(value: f64) -> String {
    if value >= 1_000.0 { number(value) } else { format!("{}", (value * 1e6).round() / 1e6) }
}

/// The same of a latency: `500 µs`, `10 ms`, `1 s`.
pub fn round_latency(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{} µs", round_number(us)),
        us if us < 1e6 => format!("{} ms", round_number(us / 1e3)),
        us => format!("{} s", round_number(us / 1e6)),
    }
}

/// Memory: `28.4 MiB`.
pub fn bytes(value: u64) -> String {
    let (unit, size) = match value {
        0..1_024 => return format!("{value} B"),
        1_024..1_048_576 => ("KiB", 1_024.0),
        1_048_576..1_073_741_824 => ("MiB", 1_048_576.0),
        _ => ("GiB", 1_073_741_824.0),
    };
    format!("{} {unit}", number(value as f64 / size))
}

/// A share of a whole: `0%`, `0.02%`, `12.5%`. Never 0% or 100% for a share that is not that.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    match share {
        _ if part == 0 => "0%".to_owned(),
        _ if part == whole => "100%".to_owned(),
        share if share < 0.01 => "< 0.01%".to_owned(),
        share if share > 99.99 => "> 99.99%".to_owned(),
        share if !(1.0..=99.0).contains(&share) => format!("{share:.2}%"),
        share => format!("{share:.1}%"),
    }
}

/// A percentile without needless digits: `50`, `99.9`, `99.999`.
pub fn percentile(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time on a clock: `0:07`, `12:30`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        let numbers = [59_812.3, 100.4, 97.31, 9.996, 0.8312, 0.0123, 0.0, -3.5, f64::NAN];
        assert_eq!(numbers.map(number), ["59,812", "100", "97.3", "10.0", "0.83", "0.012", "0", "−3.50", "–"]);
        let latencies = [0, 870, 1_800, 9_996, 25_000, 99_960, 250_000, 999_600, 2_400_000, 60_000_000, 1_200_000_000];
        assert_eq!(
            latencies.map(latency),
            [
                "0 µs", "870 µs", "1.80 ms", "10.0 ms", "25.0 ms", "100 ms", "250 ms", "1.00 s", "2.40 s", "60.0 s",
                "1,200 s"
            ]
        );
        assert_eq!([0.0, 0.5, 1.5, 20_000.0].map(round_number), ["0", "0.5", "1.5", "20,000"]);
        assert_eq!([500.0, 1e3, 1e4, 2e6].map(round_latency), ["500 µs", "1 ms", "10 ms", "2 s"]);
        assert_eq!([512, 2_048, 29_780_000, 3 << 30].map(bytes), ["512 B", "2 KiB", "28.4 MiB", "3 GiB"]);
    }

    #[test]
    fn shares_are_not_rounded_to_all_or_nothing() {
        let shares = [(0, 10), (10, 10), (1, 1_000_000), (999_999, 1_000_000), (1, 5_000), (1, 8), (1, 0)];
        let texts = shares.map(|(part, whole)| percent(part, whole));
        assert_eq!(texts, ["0%", "100%", "< 0.01%", "> 99.99%", "0.02%", "12.5%", "–"]);
        assert_eq!([50.0, 99.9, 99.999].map(percentile), ["50", "99.9", "99.999"]);
        assert_eq!([7, 750, 3_723].map(|s| clock(Duration::from_secs(s))), ["0:07", "12:30", "1:02:03"]);
    }
}
