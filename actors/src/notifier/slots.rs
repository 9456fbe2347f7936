//! How many deliveries run: of a channel in all, and of each lane. One slow recipient fills its lane and no more.

use super::lease::Leased;
use super::outbox::Channel;
use crate::domain::MessageId;
use std::collections::HashMap;

/// The places that are taken, each by a message.
#[derive(Default)]
pub(super) struct Slots(HashMap<MessageId, (Channel, String)>);

impl Slots {
    /// Takes a place.
    pub(super) fn take(&mut self, row: &Leased) {
        let to = &row.message.to;
        self.0.insert(row.id, (to.channel(), to.lane().to_owned()));
    }

    /// Gives it back.
    pub(super) fn give_back(&mut self, id: MessageId) {
        self.0.remove(&id);
    }

    /// How many of a channel run, a lane.
    pub(super) fn lanes(&self, channel: Channel) -> HashMap<String, usize> {
        let mut lanes = HashMap::new();
        for (_, lane) in self.0.values().filter(|(of, _)| *of == channel) {
            *lanes.entry(lane.clone()).or_default() += 1;
        }
        lanes
    }

    /// How many run in all.
    pub(super) fn taken(&self) -> usize {
        self.0.len()
    }
}
