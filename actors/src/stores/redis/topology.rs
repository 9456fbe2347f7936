//! Which primary holds which keys: one has all, or those of a cluster have some slots each.

use super::shard::Shard;
use crc::{CRC_16_XMODEM, Crc};
use std::sync::Arc;

/// The number of slots of a cluster (Redis Cluster specification).
pub(super) const SLOTS: u16 = 16_384;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

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
            Slots::Cluster(slots) => self.shards.get(usize::from(slots[usize::from(slot.0)])),
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

/// The slot of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    /// By the part of the key between its first braces, if there is one.
    pub(super) fn of(key: &str) -> Self {
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
        let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
        Self(CRC.checksum(hashed.as_bytes()) % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From CLUSTER KEYSLOT of Redis 7.
        for (key, slot) in
            [("123456789", 12_739), ("foo", 12_182), ("pc:{42}:sessions", 8_000), ("pc:{42}:phone", 8_000)]
        {
            assert_eq!(Slot::of(key), Slot(slot), "{key}");
        }
        assert_eq!(Slot::of("a{}b"), Slot(CRC.checksum(b"a{}b") % SLOTS), "an empty tag counts for nothing");
    }
}
