//! The slot of a key, by which a cluster chooses the primary (Redis Cluster specification).

use crc::{CRC_16_XMODEM, Crc};

/// The number of slots.
pub(super) const SLOTS: u16 = 16_384;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The slot of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    /// From 0.
    pub(super) fn position(self) -> usize {
        self.0.into()
    }

    /// By the part of the key between its first braces, if there is one.
    pub(super) fn of(key: &str) -> Self {
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
        let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
        Self(CRC.checksum(hashed.as_bytes()) % SLOTS)
    }
}

#[cfg(test)]
impl From<u16> for Slot {
    fn from(number: u16) -> Self {
        Self(number)
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
