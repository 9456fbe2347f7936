//! The circuit breaker of a provider. After several failures in a row the provider gets no messages for a while, then
//! one message as a trial. Time is a parameter; nothing here waits.

use crate::clock::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The breaker of one provider, on one node.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_to_open: u32,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Timestamp,
    },
    /// A message is being tried. If its result does not come until then, another one may be tried.
    HalfOpen {
        until: Timestamp,
    },
}

impl State {
    fn at(self, now: Timestamp) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { until } | Self::HalfOpen { until } if now < until => BreakerState::Open,
            Self::Open { .. } | Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Messages pass.
    Closed,
    /// No message passes.
    Open,
    /// One message passes as a trial.
    HalfOpen,
}

impl Breaker {
    /// A breaker that opens after `failures` in a row, for `rest`.
    pub(super) fn new(failures: u32, rest: Duration) -> Self {
        Self { failures_to_open: failures.max(1), rest, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    pub(super) fn state(&self, now: Timestamp) -> BreakerState {
        self.lock().at(now)
    }

    /// Whether a message may pass. On a half-open breaker it is the trial; no other one is admitted for `time_out`.
    pub(super) fn admit(&self, now: Timestamp, time_out: Duration) -> bool {
        let mut state = self.lock();
        let seen = state.at(now);
        if seen == BreakerState::HalfOpen {
            *state = State::HalfOpen { until: now.plus(time_out) };
        }
        seen != BreakerState::Open
    }

    /// The provider answered.
    pub(super) fn succeeded(&self) {
        *self.lock() = State::Closed { failures: 0 };
    }

    /// The provider failed. True if that opened the breaker.
    pub(super) fn failed(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        let failures = match *state {
            State::Closed { failures } => failures + 1,
            State::HalfOpen { .. } => self.failures_to_open,
            // It was sent before the breaker opened, and changes nothing.
            State::Open { .. } => return false,
        };
        let opens = failures >= self.failures_to_open;
        *state = if opens { State::Open { until: now.plus(self.rest) } } else { State::Closed { failures } };
        opens
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(75);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn opened() -> Breaker {
        let breaker = Breaker::new(5, Duration::from_secs(10));
        for _ in 0..4 {
            assert!(!breaker.failed(at(0)));
        }
        assert!(breaker.failed(at(0)));
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let breaker = Breaker::new(5, Duration::from_secs(10));
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        breaker.succeeded();
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        assert!(breaker.admit(at(0), PATIENCE));
        breaker.failed(at(0));
        assert!(!breaker.admit(at(0), PATIENCE));
    }

    #[test]
    fn after_its_rest_one_message_decides() {
        let breaker = opened();
        assert!(!breaker.admit(at(9), PATIENCE));
        assert_eq!(breaker.state(at(10)), BreakerState::HalfOpen);
        assert!(breaker.admit(at(10), PATIENCE));
        assert!(!breaker.admit(at(10), PATIENCE), "only one");
        breaker.failed(at(11));
        assert!(!breaker.admit(at(20), PATIENCE));
        assert!(breaker.admit(at(21), PATIENCE));
        breaker.succeeded();
        assert_eq!(breaker.state(at(21)), BreakerState::Closed);
    }

    #[test]
    fn what_was_sent_before_it_opened_does_not_lengthen_its_rest() {
        let breaker = opened();
        assert!(!breaker.failed(at(9)), "it was open already");
        assert!(breaker.admit(at(10), PATIENCE));
    }

    #[test]
    fn a_trial_that_is_never_heard_of_again_does_not_lock_it() {
        let breaker = opened();
        assert!(breaker.admit(at(10), PATIENCE));
        assert!(!breaker.admit(at(84), PATIENCE));
        assert!(breaker.admit(at(85), PATIENCE));
    }
}
