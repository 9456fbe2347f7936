//! Which primary holds which keys: one has all, or those of a cluster have some slots each.

use super::shard::Shard;
use super::slot::{SLOTS, Slot};
use std::sync::Arc;

/// The primaries that are in force. It is replaced as a whole.
pub(super) struct Topology {
    shards: Vec<Arc<Shard>>,
    slots: Slots,
}

enum Slots {
    /// The only primary has all.
    One,
    /// By slot, the position of the shard. [`UNCOVERED`] if no primary has it.
    Cluster(Vec<u16>),
}

const UNCOVERED: u16 = u16::MAX;

impl Topology {
    /// One primary has all keys.
    pub(super) fn one(shard: Arc<Shard>) -> Self {
        Self { shards: vec![shard], slots: Slots::One }
    }

    /// The primaries of a cluster, each with its slots as ranges, ends included.
    pub(super) fn cluster(parts: Vec<(Arc<Shard>, Vec<(u16, u16)>)>) -> Self {
        let mut slots = vec![UNCOVERED; SLOTS.into()];
        for (position, (_, ranges)) in (0..).zip(&parts) {
            for &(first, last) in ranges {
                slots[usize::from(first)..=usize::from(last)].fill(position);
            }
        }
        Self { shards: parts.into_iter().map(|(shard, _)| shard).collect(), slots: Slots::Cluster(slots) }
    }

    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// The primary of a slot; `None` if the cluster has none.
    pub(super) fn shard(&self, slot: Slot) -> Option<&Arc<Shard>> {
        match &self.slots {
            Slots::One => self.shards.first(),
            Slots::Cluster(slots) => self.shards.get(usize::from(slots[slot.position()])),
        }
    }

    /// Whether a slot of the cluster has no primary.
    pub(super) fn has_gap(&self) -> bool {
        matches!(&self.slots, Slots::Cluster(slots) if slots.contains(&UNCOVERED))
    }

    /// Whether this shard holds the slot.
    pub(super) fn holds(&self, shard: &Arc<Shard>, slot: Slot) -> bool {
        self.shard(slot).is_some_and(|holder| Arc::ptr_eq(holder, shard))
    }
}
