//! Conditions that a run must meet: `--threshold 'p99<25ms'`.

use crate::figures::{latency, number};
use crate::results::{Arrivals, Baseline, Run, Threshold};
use std::str::FromStr;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    metric: Metric,
    /// Of this operation only: `check:p99<25ms`.
    operation: Option<String>,
    below: bool,
    /// The limit itself passes, too: `<=` and `>=`.
    inclusive: bool,
    /// Microseconds, a share of 1, or a plain number.
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Latency from the intended start at a percentile.
    Latency(f64),
    /// Share of what was sent.
    Errors,
    /// Share of what was planned.
    Dropped,
    /// Good answers per second.
    Rate,
    /// To the first baseline.
    Ratio,
    /// How many figures are not what they should be.
    Missed,
}

/// What `--help` says.
pub const HELP: &str = "A condition that the run must meet, for example p99<25ms. Can be repeated. Metrics: p50, p90, \
    p95, p99, p99.9, p99.99, max (latency from the intended start, so --rate is needed; not met if more requests than the \
    percentile leaves out had no good answer), errors and dropped (in %), rate (good answers per second), ratio (to the \
    first baseline). Compared with <, <=, > or >=. `check:p99<10ms` counts one kind of request, and `aims` demands that \
    every figure is what the scenario aims at";

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let spaceless: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if spaceless == "aims" {
            let (metric, operation) = (Metric::Missed, None);
            return Ok(Self { text: spaceless, metric, operation, below: true, inclusive: true, limit: 0.0 });
        }
        let (left, below, right) = match (spaceless.split_once('<'), spaceless.split_once('>')) {
            (Some((left, right)), None) => (left, true, right),
            (None, Some((left, right))) => (left, false, right),
            _ => return Err("a condition has one < or >, for example p99<25ms".to_owned()),
        };
        let (inclusive, right) = right.strip_prefix('=').map_or((false, right), |right| (true, right));
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
                _ => return Err(format!("{name} is no metric: p50 … p99.99, max, errors, dropped, rate, ratio, aims")),
            },
        };
        match (&operation, metric) {
            (Some(_), Metric::Dropped | Metric::Ratio) => return Err(format!("{name} is not known per operation")),
            (Some(_), Metric::Latency(p)) if ![50.0, 99.0, 100.0].contains(&p) => {
                return Err("of one operation only p50, p99 and max are known".to_owned());
            }
            _ => {}
        }
        Ok(Self { limit: limit(metric, right)?, text: spaceless, metric, operation, below, inclusive })
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
        Metric::Rate | Metric::Ratio | Metric::Missed => (parse(text), "0.8"),
    };
    limit.ok_or_else(|| format!("{text} is no limit of this metric; one is {example}"))
}

impl Condition {
    /// Refuses an operation that the scenario does not have, before it runs.
    ///
    /// # Errors
    /// The names that it has.
    pub fn known_to(&self, operations: &[&str]) -> Result<(), String> {
        match &self.operation {
            Some(name) if !operations.contains(&name.as_str()) => {
                Err(format!("{name} is no request of this scenario; it has: {}", operations.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// Compares it with a run. What was not measured does not pass.
    pub fn of(&self, run: &Run) -> Threshold {
        let value = self.value(run);
        let passed = value.as_ref().is_ok_and(|value| match (self.below, self.inclusive) {
            (true, false) => *value < self.limit,
            (true, true) => *value <= self.limit,
            (false, false) => *value > self.limit,
            (false, true) => *value >= self.limit,
        });
        let measured = value.map_or_else(
            |reason| reason,
            |value| match self.metric {
                Metric::Latency(_) => latency(value as u64),
                Metric::Errors | Metric::Dropped => format!("{}%", number(value * 100.0)),
                Metric::Rate => format!("{}/s", number(value)),
                Metric::Ratio => format!("{value:.3}"),
                Metric::Missed => format!("{value} of {} missed", aimed(run).count()),
            },
        );
        Threshold { condition: self.text.clone(), measured, passed }
    }

    /// Why there is no value, if there is none.
    fn value(&self, run: &Run) -> Result<f64, String> {
        if let Metric::Latency(percentile) = self.metric {
            if run.settings.arrivals == Arrivals::Closed {
                return Err("not measured: closed loop, give --rate".to_owned());
            }
            let number = self.number(run).ok_or("not measured")?;
            let lost = self.lost(run);
            // The largest of all values leaves nothing out.
            if lost > 1.0 - percentile / 100.0 {
                return Err(format!("{}% had no good answer", crate::figures::number(lost * 100.0)));
            }
            return Ok(number);
        }
        self.number(run).ok_or_else(|| "not measured".to_owned())
    }

    /// The part of the requests without a good answer, whose latency nobody knows. Which operation a dropped request was is
    /// not known either, so it counts for each.
    fn lost(&self, run: &Run) -> f64 {
        let named = run.operations.iter().find(|operation| Some(&operation.name) == self.operation.as_ref());
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        match named {
            Some(one) => share(one.sent - one.good, one.sent).max(share(run.totals.dropped, run.totals.planned)),
            None => share(run.totals.errors + run.totals.dropped, run.totals.planned),
        }
    }

    fn number(&self, run: &Run) -> Option<f64> {
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
                Metric::Rate => Some(operation.in_time as f64 / run.settings.duration_s),
                Metric::Dropped | Metric::Ratio | Metric::Missed => None,
            };
        }
        match self.metric {
            Metric::Latency(percentile) => run.latency.corrected_at(percentile).map(|us| us as f64),
            Metric::Errors => share(run.totals.errors, run.totals.sent),
            Metric::Dropped => share(run.totals.dropped, run.totals.planned),
            Metric::Rate => Some(run.rate()),
            Metric::Ratio => run.baselines.first().and_then(|baseline| baseline.ratio),
            Metric::Missed => Some(aimed(run).filter(|baseline| baseline.met() != Some(true)).count() as f64),
        }
    }
}

/// The figures that should be something; one that could not be judged is missed.
fn aimed(run: &Run) -> impl Iterator<Item = &Baseline> {
    run.baselines.iter().filter(|baseline| baseline.aim.is_some())
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
        for passes in ["p90 < 30s", "p50>1us", "p50<1ms", "errors<50%", "dropped>0%", "rate>10", "ratio>=0.952"] {
            assert!(judged(passes).passed, "{:?}", judged(passes));
        }
        for fails in ["p50<1us", "errors<0%", "rate>1000000", "ratio>100", "ratio>0.952", "check:p50<1us", "aims"] {
            assert!(!judged(fails).passed, "{:?}", judged(fails));
        }
        assert_eq!(judged("ratio>0.1").condition, "ratio>0.1");
        assert_eq!(judged("aims").measured, "1 of 2 missed");
    }

    #[test]
    fn a_percentile_is_not_met_when_more_than_it_leaves_out_have_no_good_answer() {
        let mut run = morning(60);
        let judged = |run: &Run, text: &str| text.parse::<Condition>().unwrap().of(run);
        (run.totals.errors, run.totals.dropped) = (run.totals.planned / 200, run.totals.planned / 200);
        assert!(judged(&run, "p99<100s").passed);
        run.totals.dropped += 1;
        let judged = judged(&run, "p99<100s");
        assert!(!judged.passed && judged.measured.ends_with("% had no good answer"), "{judged:?}");
    }

    #[test]
    fn a_closed_loop_has_no_latency_to_judge() {
        let mut run = morning(60);
        run.settings.arrivals = Arrivals::Closed;
        let judged = |text: &str| text.parse::<Condition>().unwrap().of(&run);
        assert_eq!(judged("p50<100s").measured, "not measured: closed loop, give --rate");
        assert!(!judged("check:p50<100s").passed && judged("rate>1").passed);
    }

    #[test]
    fn an_operation_that_the_scenario_does_not_have_is_refused() {
        let condition = |text: &str| text.parse::<Condition>().unwrap();
        assert!(condition("check:p99<1s").known_to(&["check", "sign-in"]).is_ok());
        assert!(condition("p99<1s").known_to(&[]).is_ok());
        let refused = condition("chek:p99<1s").known_to(&["check", "sign-in"]).unwrap_err();
        assert!(refused.ends_with("it has: check, sign-in"), "{refused}");
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
