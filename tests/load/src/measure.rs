//! What is measured with: CPU time of a process, medians, and rounds in which two sides take turns.

use std::fmt;
use std::time::Duration;

/// Any error: the kit shows it and ends.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// One round of one side.
#[derive(Clone, Copy)]
pub struct Round {
    /// How often it was done.
    pub count: u64,
    /// In how long.
    pub wall: Duration,
    /// With how much CPU time of the process that did it.
    pub cpu: Duration,
}

impl Round {
    /// How often a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }

    /// CPU time of one, in milliseconds.
    pub fn cpu_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / self.count.max(1) as f64
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.get((values.len().max(1) - 1) / 2), values.get(values.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// Two sides whose rounds took turns, so that a slower minute of the machine is a slower minute for both.
pub struct Pair {
    /// Each side's name.
    pub names: (&'static str, &'static str),
    /// Their rounds, in turns.
    pub rounds: Vec<(Round, Round)>,
}

impl Pair {
    /// Median of the rounds' ratios of the first side's rate to the second's.
    pub fn ratio(&self) -> f64 {
        median(self.rounds.iter().map(|(first, second)| first.rate() / second.rate()))
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |pick: fn(&(Round, Round)) -> &Round| {
            (
                median(self.rounds.iter().map(|round| pick(round).rate())),
                median(self.rounds.iter().map(|round| pick(round).cpu_ms())),
            )
        };
        for (name, (rate, cpu)) in [(self.names.0, side(|both| &both.0)), (self.names.1, side(|both| &both.1))] {
            writeln!(f, "{name:<28} {rate:>10.1} a second {cpu:>10.4} ms of CPU each")?;
        }
        let ratios = self.rounds.iter().map(|(first, second)| first.rate() / second.rate());
        let (low, high) = ratios.fold((f64::MAX, f64::MIN), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
        write!(f, "ratio {:.3} (rounds {low:.3} to {high:.3})", self.ratio())
    }
}

/// CPU time, user and system, of a process and all its threads (proc(5), fields 14 and 15 of `stat`, in ticks of
/// 10 ms).
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn cpu_time(process: &str) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces; what follows it does not.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
