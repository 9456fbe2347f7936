//! A wrong clock.

use portcullis_actors::clock::{Clock, SystemClock, Timestamp};

/// The clock of a machine that is so many milliseconds ahead of all others. Other than with
/// [`ShiftedClock`](portcullis_actors::clock::ShiftedClock), no store follows it.
#[derive(Clone, Copy, Debug)]
pub struct WrongClock(pub i64);

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().millis() + self.0)
    }
}
