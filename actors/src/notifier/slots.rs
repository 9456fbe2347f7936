//! How many deliveries run: of a channel in all, and of each lane. One slow recipient fills its lane and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The places of one channel.
pub(super) struct Slots {
    most: usize,
    running: Mutex<HashMap<String, usize>>,
    freed: Arc<Notify>,
}

/// A place that is taken; free again when dropped.
pub(super) struct Seat {
    slots: Arc<Slots>,
    lane: String,
}

impl Slots {
    /// So many places; `freed` hears of every one that is given back.
    pub(super) fn new(most: usize, freed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { most, running: Mutex::default(), freed })
    }

    /// Places that nobody has taken.
    pub(super) fn free(&self) -> usize {
        self.most.saturating_sub(self.running().values().sum())
    }

    /// How many run, a lane.
    pub(super) fn lanes(&self) -> HashMap<String, usize> {
        self.running().clone()
    }

    /// Takes a place. The caller asked [`Slots::free`] before and is the only one who takes.
    pub(super) fn take(self: &Arc<Self>, lane: &str) -> Seat {
        *self.running().entry(lane.to_owned()).or_default() += 1;
        Seat { slots: Arc::clone(self), lane: lane.to_owned() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut running = self.slots.running();
        if let Some(count) = running.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.lane);
            }
        }
        drop(running);
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_dropped() {
        let slots = Slots::new(3, Arc::default());
        let seats = [slots.take("a.example"), slots.take("a.example"), slots.take("b.example")];
        assert_eq!(slots.free(), 0);
        assert_eq!(slots.lanes().get("a.example"), Some(&2));
        drop(seats);
        assert_eq!(slots.free(), 3);
        assert!(slots.lanes().is_empty());
    }
}
