//! Which primary holds which keys: one has all, or those of a cluster have some slots each.

use super::shard::Shard;
use super::slot::Slot;
use std::sync::Arc;

/// The primaries that are in force. It is replaced as a whole.
pub(super) struct Topology {
    shards: Vec<Arc<Shard>>,
    slots: Slots,
    /// Of the failover that put it in force; 0 without sentinels.
    pub(super) epoch: u64,
}

#[derive(PartialEq, Eq)]
enum Slots {
    /// The only primary has all.
    One,
    /// By slot, the position of the shard. [`UNCOVERED`] if no primary has it.
    Cluster(Vec<u16>),
}

pub(super) const UNCOVERED: u16 = u16::MAX;

impl Topology {
    /// One primary has all keys.
    pub(super) fn one(shard: Arc<Shard>) -> Self {
        Self { shards: vec![shard], slots: Slots::One, epoch: 0 }
    }

    /// The primaries of a cluster; for each slot the position of its primary, or [`UNCOVERED`].
    pub(super) fn cluster(shards: Vec<Arc<Shard>>, slots: Vec<u16>) -> Self {
        Self { shards, slots: Slots::Cluster(slots), epoch: 0 }
    }

    /// The one that sentinels named with this epoch.
    pub(super) fn named(shard: Arc<Shard>, epoch: u64) -> Self {
        Self { epoch, ..Self::one(shard) }
    }

    /// Whether this address is one of its primaries.
    pub(super) fn is_at(&self, host: &str, port: u16) -> bool {
        let at = format!("{host}:{port}");
        self.shards.iter().any(|shard| shard.at == at)
    }

    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// The primary of a slot; `None` if the cluster has none.
    pub(super) fn shard(&self, slot: Slot) -> Option<&Arc<Shard>> {
        self.shards.get(self.position(slot))
    }

    /// The number of that primary.
    pub(super) fn position(&self, slot: Slot) -> usize {
        match &self.slots {
            Slots::One => 0,
            Slots::Cluster(slots) => slots[slot.position()].into(),
        }
    }

    /// The first slot of the cluster that has no primary.
    pub(super) fn gap(&self) -> Option<usize> {
        match &self.slots {
            Slots::One => None,
            Slots::Cluster(slots) => slots.iter().position(|holder| *holder == UNCOVERED),
        }
    }

    /// Whether both say the same of the same shards.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same = |(one, another): (&Arc<Shard>, &Arc<Shard>)| Arc::ptr_eq(one, another);
        self.slots == other.slots
            && self.shards.len() == other.shards.len()
            && self.shards.iter().zip(&other.shards).all(same)
    }

    /// Whether one script may touch keys of both slots.
    pub(super) fn is_one_step(&self, one: Slot, another: Slot) -> bool {
        one == another || matches!(self.slots, Slots::One)
    }

    /// Whether this shard holds the slot.
    pub(super) fn holds(&self, shard: &Arc<Shard>, slot: Slot) -> bool {
        self.shard(slot).is_some_and(|holder| Arc::ptr_eq(holder, shard))
    }
}
