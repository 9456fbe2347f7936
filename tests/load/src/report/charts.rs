//! The charts of a report, made of a run.

use super::chart::{Chart, Column, Line, Scale, Tick, curve, line};
use crate::figures::{bytes, clock, latency, number, percentile, round_latency, round_number};
use crate::results::{Arrivals, Latency, Point, Run, Second};
use std::time::Duration;

/// The largest number of points of a line: more than that is no longer visible, and makes a large file.
const POINTS: usize = 240;

/// Consecutive seconds, as one point of the charts over time.
struct Bucket {
    first: usize,
    /// Per second.
    planned: f64,
    sent: f64,
    good: f64,
    errors: f64,
    dropped: f64,
    /// The median of the seconds' medians; of the others the largest.
    p50: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
    /// The mean.
    cpu: Option<f64>,
    /// The largest.
    rss: Option<u64>,
}

impl Bucket {
    fn of(first: usize, seconds: &[Second]) -> Self {
        let mean = |count: fn(&Second) -> u64| seconds.iter().map(count).sum::<u64>() as f64 / seconds.len() as f64;
        let mut medians: Vec<u64> = seconds.iter().filter_map(|second| Some(second.latency?.p50_us)).collect();
        medians.sort_unstable();
        let cpu: Vec<f64> =
            seconds.iter().filter_map(|second| second.server_cpu_cores).filter(|cores| cores.is_finite()).collect();
        Self {
            first,
            planned: mean(|second| second.planned),
            sent: mean(|second| second.sent),
            good: mean(|second| second.good),
            errors: mean(|second| second.errors),
            dropped: mean(|second| second.dropped),
            p50: medians.get(medians.len() / 2).copied(),
            p99: seconds.iter().filter_map(|second| Some(second.latency?.p99_us)).max(),
            max: seconds.iter().filter_map(|second| Some(second.latency?.max_us)).max(),
            cpu: (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64),
            rss: seconds.iter().filter_map(|second| second.server_rss_bytes).max(),
        }
    }
}

/// What all charts over time have in common.
struct Time {
    buckets: Vec<Bucket>,
    seconds: usize,
    per_bucket: usize,
}

impl Time {
    fn of(run: &Run) -> Self {
        let per_bucket = run.seconds.len().div_ceil(POINTS).max(1);
        let buckets = run.seconds.chunks(per_bucket).enumerate();
        let buckets = buckets.map(|(at, seconds)| Bucket::of(at * per_bucket, seconds)).collect();
        Self { buckets, seconds: run.seconds.len(), per_bucket }
    }

    fn line(
        &self,
        name: &'static str,
        class: &'static str,
        scale: Scale,
        value: impl Fn(&Bucket) -> Option<f64>,
    ) -> Line {
        line(name, class, scale, &self.buckets.iter().map(value).collect::<Vec<_>>())
    }

    /// All values of a chart, for its scale.
    fn values<const N: usize>(&self, of: impl Fn(&Bucket) -> [Option<f64>; N]) -> Vec<f64> {
        self.buckets.iter().flat_map(of).flatten().collect()
    }

    fn ticks(&self) -> Vec<Tick> {
        let steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];
        let step = steps.into_iter().find(|step| self.seconds / step <= 6).unwrap_or(604_800);
        // The last bucket may stand for fewer seconds than it is wide.
        let all = (self.buckets.len() * self.per_bucket).max(1);
        (0..=self.seconds)
            .step_by(step)
            .map(|second| Tick { at: second as f64 * 100.0 / all as f64, label: self.label(second) })
            .collect()
    }

    fn columns(&self, rows: impl Fn(&Bucket) -> Vec<(&'static str, &'static str, String)>) -> Vec<Column> {
        let width = 100.0 / self.buckets.len().max(1) as f64;
        let title = |bucket: &Bucket| {
            let at = |second: usize| clock(Duration::from_secs(second as u64));
            match self.per_bucket {
                1 => at(bucket.first),
                some => format!("{} to {}", at(bucket.first), at((bucket.first + some).min(self.seconds))),
            }
        };
        let column = |(at, bucket): (usize, &Bucket)| Column {
            left: at as f64 * width,
            width,
            title: title(bucket),
            rows: rows(bucket),
        };
        self.buckets.iter().enumerate().map(column).collect()
    }

    /// Minutes and seconds, or hours and minutes of a long run.
    fn label(&self, second: usize) -> String {
        let second = if self.seconds < 3_600 { second } else { second / 60 };
        clock(Duration::from_secs(second as u64))
    }

    fn x_title(&self) -> String {
        let unit = if self.seconds < 3_600 { "min:s" } else { "h:min" };
        match self.per_bucket {
            1 => format!("time ({unit})"),
            some => format!("time ({unit}); each point is {some} s"),
        }
    }
}

/// The charts for which the run has figures.
pub fn all(run: &Run) -> Vec<Chart> {
    let time = &Time::of(run);
    let closed = run.settings.arrivals == Arrivals::Closed;
    [rate(run, time), latency_over_time(time, closed), percentiles(&run.latency), cpu(time), memory(time)]
        .into_iter()
        .flatten()
        .collect()
}

fn rate(run: &Run, time: &Time) -> Option<Chart> {
    if time.buckets.is_empty() {
        return None;
    }
    let most = time.values(|bucket| [bucket.planned, bucket.sent, bucket.good].map(Some));
    let scale = Scale::linear(most.into_iter());
    let (errors, dropped) = (run.totals.errors > 0, run.totals.dropped > 0);
    let mut lines = vec![
        time.line("good answers", "good", scale, |bucket| Some(bucket.good)),
        time.line("sent", "sent", scale, |bucket| Some(bucket.sent)).open(),
    ];
    if errors {
        lines.push(time.line("errors", "bad", scale, |bucket| Some(bucket.errors)).open());
    }
    if dropped {
        lines.push(time.line("dropped", "dropped", scale, |bucket| Some(bucket.dropped)).open());
    }
    // Last, so that it is visible on top of a server that keeps up.
    lines.push(time.line("planned", "planned", scale, |bucket| Some(bucket.planned)).open());
    let rows = |bucket: &Bucket| {
        let mut rows = vec![
            ("planned", "planned", number(bucket.planned)),
            ("sent", "sent", number(bucket.sent)),
            ("good", "good answers", number(bucket.good)),
        ];
        if errors {
            rows.push(("bad", "errors", number(bucket.errors)));
        }
        if dropped {
            rows.push(("dropped", "dropped", number(bucket.dropped)));
        }
        rows
    };
    Some(Chart {
        title: "Rate and goodput",
        y_title: "requests per second".to_owned(),
        x_title: time.x_title(),
        lines,
        x_ticks: time.ticks(),
        y_ticks: scale.ticks(round_number),
        columns: time.columns(rows),
        caption: "Planned requests do not wait for the server. What was planned and not sent is dropped.".to_owned(),
    })
}

fn latency_over_time(time: &Time, closed: bool) -> Option<Chart> {
    let (half, most, max) = (
        |bucket: &Bucket| Some(bucket.p50? as f64),
        |bucket: &Bucket| Some(bucket.p99? as f64),
        |bucket: &Bucket| Some(bucket.max? as f64),
    );
    let values = time.values(|bucket| [half(bucket), most(bucket), max(bucket)]);
    if values.is_empty() {
        return None;
    }
    let scale = Scale::log(values.into_iter(), 1.0);
    let shown = |us: Option<u64>| us.map_or_else(|| "–".to_owned(), latency);
    Some(Chart {
        title: "Latency over time",
        y_title: "latency, log scale".to_owned(),
        x_title: time.x_title(),
        lines: vec![
            time.line("max", "max", scale, max).open(),
            time.line("p99", "p99", scale, most).open(),
            time.line("p50", "p50", scale, half).open(),
        ],
        x_ticks: time.ticks(),
        y_ticks: scale.ticks(round_latency),
        columns: time.columns(|bucket| {
            vec![
                ("max", "max", shown(bucket.max)),
                ("p99", "p99", shown(bucket.p99)),
                ("p50", "p50", shown(bucket.p50)),
            ]
        }),
        caption: format!(
            "Of the good answers of each second, from {}.",
            if closed { "sending" } else { "the intended start of their requests" }
        ),
    })
}

/// Every nine has the same width: 0, 90, 99, 99.9, …
fn percentiles(latencies: &Latency) -> Option<Chart> {
    let points = latencies.corrected.iter().chain(&latencies.uncorrected);
    let last = points.clone().map(|point| point.percentile).filter(|p| *p < 100.0).fold(0.0, f64::max);
    if latencies.uncorrected.is_empty() {
        return None;
    }
    let nines = |percentile: f64| (100.0 / (100.0 - percentile.clamp(0.0, 99.999))).log10();
    let width = nines(last).max(1.0);
    let scale = Scale::log(points.map(|point| point.us as f64), 1.0);
    let at = |point: &Point| ((nines(point.percentile) / width).min(1.0), point.us as f64);
    let places = |points: &[Point]| points.iter().map(at).collect::<Vec<_>>();
    let uncorrected = curve("uncorrected", "uncorrected", scale, &places(&latencies.uncorrected));
    let corrected = (!latencies.corrected.is_empty())
        .then(|| curve("corrected", "corrected", scale, &places(&latencies.corrected)).down_to(&uncorrected));
    let ticks: Vec<f64> = [0.0, 90.0, 99.0, 99.9, 99.99, 99.999].into_iter().filter(|p| nines(*p) <= width).collect();
    let told: Vec<f64> = super::PERCENTILES.into_iter().filter(|percentile| *percentile <= last).collect();
    let columns = told.iter().enumerate().map(|(number, percent)| {
        let middle = |other: Option<&f64>, edge: f64| {
            other.map_or(edge, |other| f64::midpoint(nines(*percent), nines(*other)) / width * 100.0)
        };
        let left = middle(number.checked_sub(1).and_then(|before| told.get(before)), 0.0);
        let right = middle(told.get(number + 1), 100.0);
        let value = |us: Option<u64>| us.map_or_else(|| "–".to_owned(), latency);
        Column {
            left,
            width: right - left,
            title: format!("{}%", percentile(*percent)),
            rows: vec![
                ("corrected", "corrected", value(latencies.corrected_at(*percent))),
                ("uncorrected", "uncorrected", value(latencies.uncorrected_at(*percent))),
            ],
        }
    });
    Some(Chart {
        title: "Latency by percentile",
        y_title: "latency, log scale".to_owned(),
        x_title: "percentile (%)".to_owned(),
        lines: corrected.into_iter().chain([uncorrected]).collect(),
        x_ticks: ticks.into_iter().map(|p| Tick { at: nines(p) / width * 100.0, label: percentile(p) }).collect(),
        y_ticks: scale.ticks(round_latency),
        columns: columns.collect(),
        caption:
            "Corrected counts from the intended start: what a user waits. Uncorrected counts from sending: what a \
                  client shows that waits for the server. The gap is the time that such a client hides."
                .to_owned(),
    })
}

fn cpu(time: &Time) -> Option<Chart> {
    let value = |bucket: &Bucket| bucket.cpu;
    let values = time.values(|bucket| [value(bucket)]);
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let scale = Scale::linear(values.into_iter());
    Some(Chart {
        title: "Server CPU",
        y_title: "cores".to_owned(),
        x_title: time.x_title(),
        lines: vec![time.line("CPU", "cpu", scale, value)],
        x_ticks: time.ticks(),
        y_ticks: scale.ticks(round_number),
        columns: time.columns(|bucket| vec![("cpu", "cores", bucket.cpu.map_or_else(|| "–".to_owned(), number))]),
        caption: format!("{} cores on average.", number(mean)),
    })
}

fn memory(time: &Time) -> Option<Chart> {
    const MIB: f64 = 1_048_576.0;
    let value = |bucket: &Bucket| Some(bucket.rss? as f64 / MIB);
    let values = time.values(|bucket| [value(bucket)]);
    let largest = time.buckets.iter().filter_map(|bucket| bucket.rss).max()?;
    let scale = Scale::linear(values.into_iter());
    Some(Chart {
        title: "Server memory",
        y_title: "resident set, MiB".to_owned(),
        x_title: time.x_title(),
        lines: vec![time.line("memory", "memory", scale, value)],
        x_ticks: time.ticks(),
        y_ticks: scale.ticks(round_number),
        columns: time.columns(|bucket| vec![("memory", "memory", bucket.rss.map_or_else(|| "–".to_owned(), bytes))]),
        caption: format!("{} at most.", bytes(largest)),
    })
}
