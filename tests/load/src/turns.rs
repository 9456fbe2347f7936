//! Two sides that are measured in turns, and the figures that come of it.

use crate::engine::{Measured, Pace};
use crate::kit::{BUSY, Kit};
use crate::measure::{Outcome, median};
use crate::results::{Aim, Baseline, PER_SECOND};

/// A server that takes its core whole is the limit, however busy the client is.
const SATURATED: f64 = 0.95;

/// Two sides that were measured in turns.
pub struct Turns {
    /// All rounds of the first side.
    pub ours: Measured,
    /// Each round of both.
    pub rounds: Vec<(Pace, Pace)>,
}

impl Kit {
    /// Why the client and not the server was the limit of a saturation run, if so.
    fn client_bound(&self, pace: &Pace) -> Option<String> {
        let server = pace.server_busy / self.server_core_count() as f64;
        let bound = pace.client_busy > BUSY && server < SATURATED;
        bound.then(|| {
            format!(
                "client-bound: the client's busiest core was {:.0}% busy and the server's {:.0}%, so the rate is the client's",
                pace.client_busy * 100.0,
                server * 100.0
            )
        })
    }

    /// Measures two sides in turns, so that a slower minute of the machine is one of both.
    ///
    /// # Errors
    /// Those of a side.
    pub fn in_turns(
        &self,
        mut ours: impl FnMut() -> Outcome<Measured>,
        mut bare: impl FnMut() -> Outcome<Pace>,
    ) -> Outcome<Turns> {
        let (mut rounds, mut all) = (Vec::new(), None::<Measured>);
        for _ in self.rounds() {
            let bare = bare()?;
            let round = ours()?;
            rounds.push((round.pace(), bare));
            match &mut all {
                Some(all) => all.follow(round),
                None => all = Some(round),
            }
        }
        Ok(Turns { ours: all.ok_or("no rounds")?, rounds })
    }

    /// The ratio of two sides that were measured in turns: the median of the rounds. Without a ratio, and with a note, when
    /// the client was the limit.
    pub fn ratio(&self, names: [&str; 2], aim: Option<Aim>, turns: &Turns) -> (Baseline, Vec<String>) {
        let rates: Vec<_> = turns.rounds.iter().map(|(ours, bare)| (ours.rate, bare.rate)).collect();
        self.ratio_of(names, aim, turns, &rates)
    }

    /// The same of other rates that were measured in these turns.
    pub fn ratio_of(
        &self,
        names: [&str; 2],
        aim: Option<Aim>,
        turns: &Turns,
        rates: &[(f64, f64)],
    ) -> (Baseline, Vec<String>) {
        let mut baseline = rates_beside(names, aim, rates);
        let both = turns.rounds.iter().flat_map(|(ours, bare)| [ours, bare]);
        let mut notes: Vec<String> = both.filter_map(|side| self.client_bound(side)).take(1).collect();
        if !notes.is_empty() {
            baseline.ratio = None;
        }
        let cpu = |pick: fn(&(Pace, Pace)) -> f64| median(turns.rounds.iter().map(pick)) * 1e6;
        let (ours, bare) = (cpu(|round| round.0.cpu_each), cpu(|round| round.1.cpu_each));
        if ours.is_finite() && bare.is_finite() {
            notes.push(format!("CPU time per answer: {} {ours:.2} µs, {} {bare:.2} µs", names[0], names[1]));
        }
        (baseline, notes)
    }
}

/// A baseline of rates per second, measured in turns.
pub fn rates_beside(names: [&str; 2], aim: Option<Aim>, rounds: &[(f64, f64)]) -> Baseline {
    Baseline {
        name: names[0].to_owned(),
        beside: names[1].to_owned(),
        unit: PER_SECOND.to_owned(),
        measured: median(rounds.iter().map(|(ours, _)| *ours)),
        baseline: median(rounds.iter().map(|(_, bare)| *bare)),
        ratio: Some(median(rounds.iter().map(|(ours, bare)| ours / bare))).filter(|ratio| ratio.is_finite()),
        aim,
    }
}

/// A figure that stands beside nothing, and what it may be at most.
pub fn figure(name: &str, unit: &str, measured: f64, most: Option<f64>) -> Baseline {
    compared([name, ""], unit, [measured, 0.0], most)
}

/// A figure that stands beside another of the same unit, and is no ratio.
pub fn compared(names: [&str; 2], unit: &str, [measured, baseline]: [f64; 2], most: Option<f64>) -> Baseline {
    let [name, beside] = names.map(str::to_owned);
    Baseline { name, beside, unit: unit.to_owned(), measured, baseline, ratio: None, aim: most.map(Aim::AtMost) }
}
