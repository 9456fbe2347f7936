//! Conditions that a run must meet: `--threshold 'p99<25ms'`.

use crate::figures::{latency, number};
use crate::results::{Run, Threshold};
use std::str::FromStr;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    metric: Metric,
    /// Of this operation only: `check:p99<25ms`.
    operation: Option<String>,
    below: bool,
    /// Microseconds, a share of 1, or a plain number.
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Corrected latency at a percentile.
    Latency(f64),
    /// Share of what was sent.
    Errors,
    /// Share of what was planned.
    Dropped,
    /// Good answers per second.
    Rate,
    /// To the first baseline.
    Ratio,
}

/// What `--help` says.
pub const HELP: &str = "A condition that the run must meet, for example p99<25ms. Can be repeated. Metrics: p50, p90, \
    p95, p99, p99.9, p99.99, max (latency from the intended start), errors and dropped (in %), rate (good answers per \
    second), ratio (to the first baseline). `check:p99<10ms` counts one kind of request";

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let spaceless: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, below, right) = match (spaceless.split_once('<'), spaceless.split_once('>')) {
            (Some((left, right)), None) => (left, true, right),
            (None, Some((left, right))) => (left, false, right),
            _ => return Err("a condition has one < or >, for example p99<25ms".to_owned()),
        };
        let (operation, name) = match left.split_once(':') {
            Some((operation, name)) => (Some(operation.to_owned()), name),
            None => (None, left),
        };
        let metric = match name {
            "errors" => Metric::Errors,
            "dropped" => Metric::Dropped,
            "rate" => Metric::Rate,
            "ratio" => Metric::Ratio,
            "max" => Metric::Latency(100.0),
            _ => match name.strip_prefix('p').and_then(|digits| digits.parse().ok()) {
                Some(percentile) if (0.0..=100.0).contains(&percentile) => Metric::Latency(percentile),
                _ => return Err(format!("{name} is no metric: p50 … p99.99, max, errors, dropped, rate, ratio")),
            },
        };
        match (&operation, metric) {
            (Some(_), Metric::Dropped | Metric::Ratio) => return Err(format!("{name} is not known per operation")),
            (Some(_), Metric::Latency(p)) if ![50.0, 99.0, 100.0].contains(&p) => {
                return Err("of one operation only p50, p99 and max are known".to_owned());
            }
            _ => {}
        }
        Ok(Self { limit: limit(metric, right)?, text: spaceless, metric, operation, below })
    }
}

fn limit(metric: Metric, text: &str) -> Result<f64, String> {
    let parse = |digits: &str| digits.parse::<f64>().ok().filter(|limit| limit.is_finite());
    let unit =
        |units: &[(&str, f64)]| units.iter().find_map(|(unit, factor)| Some(parse(text.strip_suffix(unit)?)? * factor));
    let (limit, example) = match metric {
        // "ms" and "us" end in "s".
        Metric::Latency(_) => (unit(&[("ms", 1e3), ("us", 1.0), ("µs", 1.0), ("s", 1e6)]), "25ms"),
        Metric::Errors | Metric::Dropped => (unit(&[("%", 0.01)]), "1%"),
        Metric::Rate | Metric::Ratio => (parse(text), "0.8"),
    };
    limit.ok_or_else(|| format!("{text} is no limit of this metric; one is {example}"))
}

impl Condition {
    /// Compares it with a run. What was not measured does not pass.
    pub fn of(&self, run: &Run) -> Threshold {
        let value = self.value(run);
        let passed = value.is_some_and(|value| if self.below { value < self.limit } else { value > self.limit });
        let measured = value.map_or_else(
            || "not measured".to_owned(),
            |value| match self.metric {
                Metric::Latency(_) => latency(value as u64),
                Metric::Errors | Metric::Dropped => format!("{}%", number(value * 100.0)),
                Metric::Rate => format!("{}/s", number(value)),
                Metric::Ratio => format!("{value:.3}"),
            },
        );
        Threshold { condition: self.text.clone(), measured, passed }
    }

    fn value(&self, run: &Run) -> Option<f64> {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        if let Some(name) = &self.operation {
            let operation = run.operations.iter().find(|operation| operation.name == *name)?;
            return match self.metric {
                Metric::Latency(p) => operation.latency.map(|spread| match p {
                    p if p < 51.0 => spread.p50_us as f64,
                    p if p < 100.0 => spread.p99_us as f64,
                    _ => spread.max_us as f64,
                }),
                Metric::Errors => share(operation.sent - operation.good, operation.sent),
                Metric::Rate => Some(operation.good as f64 / run.settings.duration_s),
                Metric::Dropped | Metric::Ratio => None,
            };
        }
        match self.metric {
            Metric::Latency(percentile) => run.latency.corrected_at(percentile).map(|us| us as f64),
            Metric::Errors => share(run.totals.errors, run.totals.sent),
            Metric::Dropped => share(run.totals.dropped, run.totals.planned),
            Metric::Rate => Some(run.totals.good as f64 / run.settings.duration_s),
            Metric::Ratio => run.baselines.first().and_then(|baseline| baseline.ratio),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::morning;

    fn judged(text: &str) -> Threshold {
        text.parse::<Condition>().unwrap().of(&morning(60))
    }

    #[test]
    fn each_metric_is_compared() {
        for passes in ["p99 < 30s", "p50>1us", "p50<1ms", "errors<50%", "dropped>0%", "rate>10", "max<100s"] {
            assert!(judged(passes).passed, "{:?}", judged(passes));
        }
        for fails in ["p99.9<1us", "errors<0%", "rate>1000000", "ratio>100", "check:p99<1us"] {
            assert!(!judged(fails).passed, "{:?}", judged(fails));
        }
        assert_eq!(judged("ratio>0.1").condition, "ratio>0.1");
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let threshold = judged("nothing:p99<25ms");
        assert_eq!((threshold.measured.as_str(), threshold.passed), ("not measured", false));
        let mut run = morning(60);
        run.baselines.clear();
        assert!(!"ratio>0".parse::<Condition>().unwrap().of(&run).passed);
    }

    #[test]
    fn a_condition_that_makes_no_sense_is_refused() {
        for wrong in ["p99", "p99<25", "p101<25ms", "speed>3", "errors<1", "rate>fast", "check:ratio>1", "check:p90<1s"]
        {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }
}
