//! The report of a run: one HTML file that needs no network and no script. `report.html` is its template, and escapes
//! every text. `chart.rs` and `charts.rs` draw, `json.rs` writes and reads the figures, `compare.rs` compares two runs.

mod chart;
mod charts;
pub mod compare;
#[cfg(test)]
pub mod example;
pub mod json;
#[cfg(test)]
mod tests;

use crate::figures::{bytes, clock, count, latency, number, percent, percentile};
use crate::measure::Outcome;
use crate::results::{Aim, Arrivals, Baseline, Operation, Run, Target};
use askama::Template;
use chart::Chart;
use std::path::Path;
use std::time::Duration;

/// The percentiles of tables.
const PERCENTILES: [f64; 9] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 100.0];

/// Writes the report of a run.
///
/// # Errors
/// When the file cannot be written.
pub fn write_html(run: &Run, file: &Path) -> Outcome<()> {
    let page = html(run)?;
    Ok(std::fs::write(file, page).map_err(|error| format!("{}: {error}", file.display()))?)
}

fn html(run: &Run) -> Result<String, askama::Error> {
    Page { run, charts: charts::all(run) }.render()
}

#[derive(Template)]
#[template(path = "report.html", config = "src/report/askama.toml")]
struct Page<'a> {
    run: &'a Run,
    charts: Vec<Chart>,
}

/// A figure in large type.
struct Tile {
    name: &'static str,
    value: String,
    /// Said below it.
    detail: String,
    /// Something a reader should notice.
    bad: bool,
}

/// A name and its value.
struct Fact {
    name: &'static str,
    value: String,
}

impl Page<'_> {
    /// The verdict's class and text.
    fn verdict(&self) -> (&'static str, String) {
        let all = self.run.thresholds.len();
        let failed = self.run.thresholds.iter().filter(|threshold| !threshold.passed).count();
        match (all, failed) {
            (0, _) => ("none", "no thresholds set".to_owned()),
            (1, 0) => ("passed", "threshold passed".to_owned()),
            (1, _) => ("failed", "threshold failed".to_owned()),
            (_, 0) => ("passed", format!("all {all} thresholds passed")),
            _ => ("failed", format!("{failed} of {all} thresholds failed")),
        }
    }

    fn target(&self) -> &str {
        match &self.run.target {
            Target::Own(text) | Target::Url(text) => text,
        }
    }

    fn date(&self) -> String {
        self.run.began.strftime("%Y-%m-%d %H:%M UTC").to_string()
    }

    fn length_text(&self) -> String {
        match self.length() {
            length if length < Duration::from_secs(100) => format!("{} s", number(length.as_secs_f64())),
            length if length < Duration::from_secs(3_600) => format!("{} min", clock(length)),
            length => format!("{} h", clock(length)),
        }
    }

    fn length(&self) -> Duration {
        Duration::try_from_secs_f64(self.run.settings.duration_s).unwrap_or_default()
    }

    /// Some scenarios measure without a load of their own, for example the start of the server.
    fn has_load(&self) -> bool {
        self.run.totals.planned > 0
    }

    fn tiles(&self) -> Vec<Tile> {
        let Run { totals, settings, latency: latencies, .. } = self.run;
        let planned = match settings.arrivals {
            Arrivals::Closed => "closed loop".to_owned(),
            _ => format!("of {} planned", number(settings.rate)),
        };
        let worst = |p: f64| latencies.shown_at(p).map_or_else(|| "–".to_owned(), latency);
        let sent =
            |p: f64| latencies.uncorrected_at(p).map_or_else(String::new, |us| format!("{} from sending", latency(us)));
        let tile = |name, value, detail, bad| Tile { name, value, detail, bad };
        vec![
            tile("good per second", number(self.run.rate()), planned, false),
            tile("p50", worst(50.0), sent(50.0), false),
            tile("p99", worst(99.0), sent(99.0), false),
            tile("p99.9", worst(99.9), sent(99.9), false),
            tile(
                "errors",
                percent(totals.errors, totals.sent),
                format!("{} of {}", count(totals.errors), count(totals.sent)),
                totals.errors > 0,
            ),
            tile(
                "dropped",
                percent(totals.dropped, totals.planned),
                format!("{} of {}", count(totals.dropped), count(totals.planned)),
                totals.dropped > 0,
            ),
        ]
    }

    /// Percentile, corrected, uncorrected.
    fn percentiles(&self) -> Vec<(String, String, String)> {
        let latencies = &self.run.latency;
        let row = |p: f64| {
            let uncorrected = latencies.uncorrected_at(p).map_or_else(|| "–".to_owned(), latency);
            let name = if p < 100.0 { format!("{}%", percentile(p)) } else { "max".to_owned() };
            let corrected = latencies.corrected_at(p).map_or_else(|| "–".to_owned(), latency);
            latencies.shown_at(p).map(|_| (name, corrected, uncorrected))
        };
        PERCENTILES.into_iter().filter_map(row).collect()
    }

    /// Kind, count, share of all errors.
    fn errors(&self) -> Vec<(&str, String, f64)> {
        let all = self.run.errors.values().sum::<u64>().max(1);
        let mut errors: Vec<_> = self.run.errors.iter().collect();
        errors.sort_by(|a, b| b.1.cmp(a.1));
        let share = |number: u64| number as f64 * 100.0 / all as f64;
        errors.into_iter().map(|(kind, number)| (kind.as_str(), count(*number), share(*number))).collect()
    }

    /// Of each kind of request: name, sent, share that was good, p50, p99, max.
    fn operations(&self) -> Vec<(&str, [String; 5])> {
        let row = |operation: &Operation| {
            let [half, most, max] = operation.latency.map_or_else(
                || ["–", "–", "–"].map(str::to_owned),
                |spread| [spread.p50_us, spread.p99_us, spread.max_us].map(latency),
            );
            [count(operation.sent), percent(operation.good, operation.sent), half, most, max]
        };
        self.run.operations.iter().map(|operation| (operation.name.as_str(), row(operation))).collect()
    }

    fn facts(&self) -> Vec<Fact> {
        let Run { settings, machine, target, .. } = self.run;
        let (whose, target) = match target {
            Target::Own(text) => ("server", format!("{text}, started by the kit")),
            Target::Url(text) => ("server", text.clone()),
        };
        let arrivals = match settings.arrivals {
            Arrivals::Constant => "open, at a constant distance",
            Arrivals::Poisson => "open, Poisson",
            Arrivals::Closed => "closed loop: each connection waits for its answer",
        };
        let rate = match settings.arrivals {
            Arrivals::Closed => "none".to_owned(),
            _ => format!("{} per second", number(settings.rate)),
        };
        let pinning = if machine.pinning.is_empty() { "none" } else { &machine.pinning };
        let load = [
            ("intended rate", rate),
            ("duration", self.length_text()),
            ("arrivals", arrivals.to_owned()),
            ("users", count(settings.users)),
            ("connections", count(settings.connections)),
        ];
        let place = [
            ("processor", machine.model.clone()),
            ("cores", count(machine.cores as u64)),
            ("memory", bytes(machine.memory_bytes)),
            ("pinning", pinning.to_owned()),
        ];
        let load = load.into_iter().filter(|_| self.has_load());
        let facts = std::iter::once((whose, target)).chain(load).chain(place);
        facts.map(|(name, value)| Fact { name, value }).collect()
    }
}

/// What the template shows of a comparison with a baseline.
impl Baseline {
    fn finite(&self) -> Option<f64> {
        self.ratio.filter(|ratio| ratio.is_finite())
    }

    fn ratio_text(&self) -> String {
        self.finite().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
    }

    /// What the large text does not say.
    fn detail_text(&self) -> String {
        match (self.is_ratio(), self.beside.is_empty()) {
            (true, _) => format!("{} ÷ {} {}", number(self.measured), number(self.baseline), self.unit),
            (false, false) => format!("{}: {} {}", self.beside, number(self.baseline), self.unit),
            (false, true) => String::new(),
        }
    }

    /// What counts, in large type.
    fn large_text(&self) -> String {
        if self.is_ratio() { self.ratio_text() } else { format!("{} {}", number(self.measured), self.unit) }
    }

    /// Where the bar shows the aim, in percent.
    fn mark(&self) -> Option<f64> {
        match self.aim {
            Some(Aim::RatioAtLeast(least) | Aim::RatioWithin(least, _)) => Some((least * 100.0).clamp(0.0, 100.0)),
            _ => None,
        }
    }

    /// The ratio in percent of the bar.
    fn bar(&self) -> f64 {
        self.finite().map_or(0.0, |ratio| (ratio * 100.0).clamp(0.0, 100.0))
    }

    /// Class and text of the judgement.
    fn judgement(&self) -> (&'static str, String) {
        match (self.met(), self.aim) {
            (Some(true), Some(aim)) => ("passed", format!("meets the aim: {aim}")),
            (Some(false), Some(aim)) => ("failed", format!("misses the aim: {aim}")),
            (None, Some(_)) => ("none", "not judged: no ratio".to_owned()),
            _ => ("none", String::new()),
        }
    }
}
