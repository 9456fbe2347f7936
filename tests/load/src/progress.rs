//! The progress of a run on standard error: one line that is rewritten on a terminal, else a line every few seconds.

use crate::figures::{clock, count, latency, number};
use crate::results::Spread;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

/// Between two lines in a log.
const LOGGED_EVERY: Duration = Duration::from_secs(5);

/// What the line says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Since the measured part began.
    pub elapsed: Duration,
    /// Answered with the wanted status, per second, lately.
    pub good_per_second: f64,
    /// Corrected latency of the last second.
    pub latency: Option<Spread>,
    /// Since the beginning.
    pub errors: u64,
    /// Since the beginning.
    pub dropped: u64,
}

/// The line.
pub struct Progress {
    name: String,
    rate: f64,
    length: Duration,
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// Not on a terminal: when the next line is due.
    due: Duration,
}

impl Progress {
    /// Of a run of `length` with `rate` intended requests per second.
    pub fn start(name: &str, rate: f64, length: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:12} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::with_draw_target(Some(millis(length)), ProgressDrawTarget::stderr());
            bar.with_style(style)
        });
        Self { name: name.to_owned(), rate, length, bar, due: Duration::ZERO }
    }

    /// Shows the state of the run; meant to be called about once a second.
    pub fn show(&mut self, now: &Now) {
        let line = self.line(now);
        if let Some(bar) = &self.bar {
            bar.set_position(millis(now.elapsed));
            bar.set_message(line);
        } else if now.elapsed >= self.due {
            self.due = now.elapsed + LOGGED_EVERY;
            eprintln!("{line}");
        }
    }

    /// Removes the line from a terminal.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// The most important first: a narrow terminal cuts the end.
    fn line(&self, now: &Now) -> String {
        let (half, most) = now.latency.map_or_else(
            || ("–".to_owned(), "–".to_owned()),
            |spread| (latency(spread.p50_us), latency(spread.p99_us)),
        );
        let mut line = format!(
            "{} {}/s{} · p50 {half} · p99 {most} · errors {}",
            self.name,
            number(now.good_per_second.round()),
            // A closed loop intends no rate.
            if self.rate > 0.0 { format!(" of {}/s", number(self.rate)) } else { String::new() },
            count(now.errors)
        );
        if now.dropped > 0 {
            line += &format!(" · dropped {}", count(now.dropped));
        }
        line + &format!(" · {} left", clock(self.length.saturating_sub(now.elapsed)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_latency_errors_and_the_time_left() {
        let progress = Progress::start("check", 60_000.0, Duration::from_secs(90));
        let spread = Spread { p50_us: 210, p99_us: 1_804, max_us: 9_000 };
        let now = Now {
            elapsed: Duration::from_secs(12),
            good_per_second: 59_812.4,
            latency: Some(spread),
            errors: 1_204,
            dropped: 0,
        };
        let said = "check 59,812/s of 60,000/s · p50 210 µs · p99 1.80 ms · errors 1,204 · 1:18 left";
        assert_eq!(progress.line(&now), said);
        let late = Now { elapsed: Duration::from_secs(91), dropped: 3, ..Now::default() };
        let said = "check 0/s of 60,000/s · p50 – · p99 – · errors 0 · dropped 3 · 0:00 left";
        assert_eq!(progress.line(&late), said);
    }
}
