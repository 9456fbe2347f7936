//! How many deliveries run: of a channel in all, and of each lane. One slow recipient fills its lane and no more.

use crate::domain::MessageId;
use crate::stores::{Channel, Leased};
use std::collections::HashMap;

/// A message's place: of a channel, and of a lane there.
pub(super) type Place = (MessageId, (Channel, String));

/// The places that are taken.
#[derive(Default)]
pub(super) struct Slots(HashMap<MessageId, (Channel, String)>);

impl Slots {
    /// Takes a place.
    pub(super) fn take(&mut self, row: &Leased) {
        let to = &row.message.to;
        self.0.insert(row.id, (to.channel(), to.lane().to_owned()));
    }

    /// Gives places back; what they were.
    pub(super) fn give_back(&mut self, ids: impl IntoIterator<Item = MessageId>) -> Vec<Place> {
        ids.into_iter().filter_map(|id| self.0.remove_entry(&id)).collect()
    }

    /// Takes them again.
    pub(super) fn put_back(&mut self, places: Vec<Place>) {
        self.0.extend(places);
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
