//! A line chart as numbers: scales, ticks and SVG paths. The template turns it into markup.
//!
//! The plot has coordinates from 0 to 1000 in both directions and is stretched to the width of the page; labels are
//! HTML beside it, at positions in percent, so that their size does not depend on the width.

use std::fmt::Write as _;

/// The width and height of the plot's coordinates.
const SIZE: f64 = 1_000.0;

/// One chart.
pub struct Chart {
    pub title: &'static str,
    /// What the vertical axis shows, with its unit.
    pub y_title: String,
    pub x_title: String,
    pub lines: Vec<Line>,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// What is shown while the pointer is over a part of the plot.
    pub columns: Vec<Column>,
    /// Said below the chart.
    pub caption: String,
}

/// One line of a chart.
pub struct Line {
    pub name: &'static str,
    /// Its colour and form: a class of the style sheet.
    pub class: &'static str,
    /// The `d` of an SVG path.
    pub path: String,
    /// The same, closed down to the axis; empty for a line without an area.
    pub area: String,
}

/// A grid line and its label.
pub struct Tick {
    /// In percent from the left or from the bottom.
    pub at: f64,
    pub label: String,
}

/// A part of the plot with its figures.
pub struct Column {
    /// In percent.
    pub left: f64,
    /// In percent.
    pub width: f64,
    pub title: String,
    /// Class, name and value.
    pub rows: Vec<(&'static str, &'static str, String)>,
}

impl Column {
    /// The figures stand on the side that has room for them.
    pub fn side(&self) -> &'static str {
        if self.left + self.width / 2.0 > 50.0 { "before" } else { "after" }
    }
}

/// How values become positions.
#[derive(Clone, Copy, Debug)]
pub enum Scale {
    /// From 0 to this value.
    Linear(f64),
    /// Between these values, both larger than 0.
    Log(f64, f64),
}

impl Scale {
    /// From 0 to a little more than the largest value.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        // Room above the largest value, so that its line does not run along the edge.
        Self::Linear(largest * 1.06)
    }

    /// Between round numbers around all values that are at least `least`.
    pub fn log(values: impl Iterator<Item = f64>, least: f64) -> Self {
        let values = values.filter(|value| value.is_finite()).map(|value| value.max(least));
        let (low, high) = values.fold((f64::MAX, least), |(low, high), value| (low.min(value), high.max(value)));
        let low = low.min(high);
        let from = round_numbers(low, high).take_while(|round| *round <= low * 1.000_001).last().unwrap_or(low);
        let to = round_numbers(low, high).find(|round| *round >= high * 0.999_999 && *round > from * 1.5);
        Self::Log(from, to.unwrap_or(high))
    }

    /// The position of a value, from 0 to 1.
    pub fn at(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear(largest) => value / largest,
            Self::Log(from, to) => (value.max(from) / from).ln() / (to / from).ln(),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Grid lines at round numbers.
    pub fn ticks(self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let values: Vec<f64> = match self {
            Self::Linear(largest) => {
                let step = step(largest / 5.0);
                (0..=10).map(|at| f64::from(at) * step).take_while(|value| *value <= largest * 1.000_001).collect()
            }
            Self::Log(from, to) => {
                let all: Vec<f64> = round_numbers(from, to)
                    .filter(|value| (from * 0.999_999..=to * 1.000_001).contains(value))
                    .collect();
                let decades: Vec<f64> =
                    all.iter().copied().filter(|value| (value.log10() - value.log10().round()).abs() < 1e-6).collect();
                if all.len() > 7 { decades } else { all }
            }
        };
        values.into_iter().map(|value| Tick { at: self.at(value) * 100.0, label: label(value) }).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at or above `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(power)
}

/// 1, 2, 5, 10, … from the power of ten at or below `low` to the first beyond `high`.
fn round_numbers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    (first..=last + 1).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power)))
}

/// A line through values that belong to equal parts of the width. A missing value leaves a gap, and a value between
/// two gaps is as wide as its part.
pub fn line(name: &'static str, class: &'static str, scale: Scale, values: &[Option<f64>]) -> Line {
    let width = SIZE / values.len().max(1) as f64;
    let points = values.iter().enumerate().map(|(at, value)| (at, value.filter(|value| value.is_finite())));
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (at, value) in points {
        match value {
            Some(value) => {
                let point = ((at as f64 + 0.5) * width, (1.0 - scale.at(value)) * SIZE);
                if let Some(run) = runs.last_mut() {
                    run.push(point);
                }
            }
            None => runs.push(Vec::new()),
        }
    }
    for run in &mut runs {
        if let [(x, y)] = run[..] {
            *run = vec![(x - width / 2.0, y), (x + width / 2.0, y)];
        }
    }
    path(name, class, &runs)
}

/// A line through points: positions from 0 to 1 from the left, and values.
pub fn curve(name: &'static str, class: &'static str, scale: Scale, points: &[(f64, f64)]) -> Line {
    let point = |(x, value): &(f64, f64)| (x * SIZE, (1.0 - scale.at(*value)) * SIZE);
    let mut run: Vec<_> = points.iter().map(point).collect();
    if let [(_, y)] = run[..] {
        run = vec![(0.0, y), (SIZE, y)];
    }
    path(name, class, &[run]).open()
}

fn path(name: &'static str, class: &'static str, runs: &[Vec<(f64, f64)>]) -> Line {
    let (mut path, mut area) = (String::new(), String::new());
    for run in runs {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let mut through = String::new();
        for (x, y) in run {
            let _ = write!(through, "{}{x:.1} {y:.1}", if through.is_empty() { "" } else { "L" });
        }
        let _ = write!(path, "M{through}");
        let _ = write!(area, "M{:.1} {SIZE}L{through}L{:.1} {SIZE}Z", first.0, last.0);
    }
    Line { name, class, path, area }
}

impl Line {
    /// With the area between this line and a lower one, instead of that down to the axis.
    pub fn down_to(mut self, lower: &Self) -> Self {
        let back = lower.path.trim_start_matches('M').rsplit('L').collect::<Vec<_>>().join("L");
        self.area = if back.is_empty() { String::new() } else { format!("{}L{back}Z", self.path) };
        self
    }

    /// Without the area below it.
    pub fn open(mut self) -> Self {
        self.area = String::new();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> Vec<String> {
        scale.ticks(|value| value.to_string()).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        assert_eq!(labels(Scale::linear([59_812.0, 3.0].into_iter())), ["0", "20000", "40000", "60000"]);
        assert_eq!(labels(Scale::linear(std::iter::empty())), ["0", "0.5", "1"]);
        assert_eq!(labels(Scale::log([210.0, 1_804.0].into_iter(), 1.0)), ["200", "500", "1000", "2000"]);
        assert_eq!(labels(Scale::log([3.0, 60e6].into_iter(), 1.0)).first().map(String::as_str), Some("10"));
        assert_eq!(labels(Scale::log([f64::NAN, 0.0].into_iter(), 1.0)), ["1", "2"]);
        assert_eq!(labels(Scale::log(std::iter::empty(), 1.0)), ["1", "2"]);
    }

    #[test]
    fn a_line_has_gaps_and_no_number_that_is_none() {
        let values = [Some(1.0), Some(2.0), None, Some(4.0), Some(f64::NAN)];
        let line = line("a", "a", Scale::Linear(4.0), &values);
        assert_eq!(line.path, "M100.0 750.0L300.0 500.0M600.0 0.0L800.0 0.0");
        assert_eq!(
            line.area,
            "M100.0 1000L100.0 750.0L300.0 500.0L300.0 1000ZM600.0 1000L600.0 0.0L800.0 0.0L800.0 1000Z"
        );
        assert_eq!(super::line("a", "a", Scale::Linear(0.0), &[Some(0.0)]).path, "M0.0 1000.0L1000.0 1000.0");
        assert_eq!(super::line("a", "a", Scale::Linear(1.0), &[]).path, "");
    }

    #[test]
    fn an_area_between_two_lines_runs_back_along_the_lower_one() {
        let scale = Scale::Linear(10.0);
        let lower = curve("b", "b", scale, &[(0.0, 1.0), (1.0, 2.0)]);
        let upper = curve("a", "a", scale, &[(0.0, 5.0), (1.0, 9.0)]).down_to(&lower);
        assert_eq!(upper.area, "M0.0 500.0L1000.0 100.0L1000.0 800.0L0.0 900.0Z");
        assert_eq!(upper.down_to(&curve("c", "c", scale, &[])).area, "");
    }
}
