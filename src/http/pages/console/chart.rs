//! A small chart: one bar a minute.

use crate::http::Minute;

/// The size of a chart in its own units, with the width of a minute.
const HEIGHT: u64 = 40;
const MINUTES: usize = 60;
const STEP: usize = 4;

/// An hour of one number.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) total: u64,
    /// For those who do not see it.
    pub(super) label: String,
    pub(super) bars: Vec<Bar>,
}

/// A rectangle.
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) height: u64,
}

impl Chart {
    /// The last minute is at the right edge. The highest one fills the height.
    pub(super) fn new(title: &'static str, minutes: &[Minute], number: impl Fn(&Minute) -> u64) -> Self {
        let numbers: Vec<u64> = minutes.iter().map(number).collect();
        let highest = numbers.iter().copied().max().unwrap_or(0);
        let first = MINUTES.saturating_sub(numbers.len());
        let bar = |(at, number): (usize, &u64)| {
            // What happened is seen, be it ever so little.
            let height = (number * (HEIGHT - 1)).div_ceil(highest.max(1)).min(HEIGHT);
            Bar { x: (first + at) * STEP, y: HEIGHT - height, height }
        };
        let bars = numbers.iter().enumerate().map(bar).filter(|bar| bar.height > 0).collect();
        let total = numbers.iter().sum();
        let label = format!("{title} of the last hour: {total}, at most {highest} in a minute");
        Self { title, total, label, bars }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_is_at_the_right_and_the_highest_fills_the_height() {
        let minutes: Vec<_> = [0, 1, 1000].map(|checks| Minute { checks, ..Minute::default() }).into();
        let chart = Chart::new("Checks", &minutes, |minute| minute.checks);
        let bars: Vec<_> = chart.bars.iter().map(|bar| (bar.x, bar.y, bar.height)).collect();
        assert_eq!(bars, [(232, 39, 1), (236, 1, 39)]);
        assert_eq!(
            (chart.total, chart.label.as_str()),
            (1001, "Checks of the last hour: 1001, at most 1000 in a minute")
        );
        assert!(Chart::new("Checks", &[], |minute| minute.checks).bars.is_empty());
    }
}
