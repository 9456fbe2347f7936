//! Argon2id behind one trait, with two implementations that are compared at the start.

use super::policy::{Cost, HashingBackend};
use super::{DISAGREE, HashingError, NO_MEMORY, cannot_start};
use crate::error::StartError;
use argon2::Block;
use argon2_rust::params::{Memory, TagLen};
use argon2_rust::{Algorithm, Argon2, Hasher, Params};
use std::time::{Duration, Instant};

/// The two versions of argon2 in stored hashes. New hashes have the second one (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// 1.0: `v=16`, or no version in the text.
    V16,
    /// 1.3: `v=19`.
    V19,
}

/// Everything that a tag depends on, except the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub cost: Cost,
    pub version: Version,
    pub salt: Vec<u8>,
}

/// An argon2id of one thread. It keeps its memory from hash to hash.
pub(super) trait Argon2id: Send {
    /// Fills `tag` with the hash of `password`.
    ///
    /// # Errors
    /// [`HashingError::Failed`]: there is not enough memory.
    fn derive(&mut self, parameters: &Parameters, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError>;
}

/// An implementation with memory for hashes of `cost`.
///
/// # Errors
/// [`HashingError::Failed`]: there is not enough memory.
pub(super) fn prepared(backend: HashingBackend, cost: &Cost) -> Result<Box<dyn Argon2id>, HashingError> {
    Ok(match backend {
        HashingBackend::Simd => Box::new(Simd::prepared(cost)?),
        HashingBackend::Reference => Box::new(Reference::prepared(cost)?),
    })
}

/// Hashes once with each and compares the tags.
///
/// # Errors
/// They differ: on this machine, one of them does not compute argon2.
pub(super) fn agree(
    chosen: &mut dyn Argon2id,
    other: &mut dyn Argon2id,
    parameters: &Parameters,
) -> Result<(), StartError> {
    if sample(chosen, parameters)? == sample(other, parameters)? { Ok(()) } else { Err(cannot_start(DISAGREE)) }
}

/// How long one hash takes.
///
/// # Errors
/// There is not enough memory.
pub(super) fn measure(hasher: &mut dyn Argon2id, parameters: &Parameters) -> Result<Duration, StartError> {
    let begun = Instant::now();
    sample(hasher, parameters)?;
    Ok(begun.elapsed())
}

fn sample(hasher: &mut dyn Argon2id, parameters: &Parameters) -> Result<[u8; 32], StartError> {
    let mut tag = [0; 32];
    hasher.derive(parameters, b"one hash by each", &mut tag).map_err(|_| cannot_start(NO_MEMORY))?;
    Ok(tag)
}

pub(super) struct Simd(Hasher);

impl Simd {
    fn prepared(cost: &Cost) -> Result<Self, HashingError> {
        let mut hasher = Self::configured(cost, Version::V19, 32)?.hasher();
        hasher.reserve().map_err(|_| HashingError::Failed)?;
        Ok(Self(hasher))
    }

    fn configured(cost: &Cost, version: Version, tag: usize) -> Result<Argon2, HashingError> {
        let params = Params::builder()
            .memory(Memory::kib(u64::from(cost.memory_kib())))
            .passes(cost.iterations())
            .lanes(cost.lanes())
            .threads(1)
            .tag_len(TagLen::bytes(tag as u64))
            .build()
            .map_err(|_| HashingError::Failed)?;
        let version = match version {
            Version::V16 => argon2_rust::Version::V0x10,
            Version::V19 => argon2_rust::Version::V0x13,
        };
        Ok(Argon2::new(Algorithm::Argon2id, version, params))
    }
}

impl Argon2id for Simd {
    fn derive(&mut self, parameters: &Parameters, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError> {
        let argon2 = Self::configured(&parameters.cost, parameters.version, tag.len())?;
        // The thread keeps memory for the current cost only. A larger stored hash gets memory for this one time.
        let fits = argon2.params().memory_blocks() as usize <= self.0.reserved_blocks();
        let done = if fits {
            self.0.set_argon2(argon2);
            self.0.hash_into(password, &parameters.salt, tag)
        } else {
            argon2.hash_into(password, &parameters.salt, tag)
        };
        done.map_err(|_| HashingError::Failed)
    }
}

pub(super) struct Reference(Vec<Block>);

impl Reference {
    fn prepared(cost: &Cost) -> Result<Self, HashingError> {
        let params = Self::params(cost, 32)?;
        Ok(Self(Self::blocks(params.block_count())?))
    }

    fn params(cost: &Cost, tag: usize) -> Result<argon2::Params, HashingError> {
        argon2::Params::new(cost.memory_kib(), cost.iterations(), cost.lanes(), Some(tag))
            .map_err(|_| HashingError::Failed)
    }

    fn blocks(count: usize) -> Result<Vec<Block>, HashingError> {
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(count).map_err(|_| HashingError::Failed)?;
        blocks.resize(count, Block::new());
        Ok(blocks)
    }
}

impl Argon2id for Reference {
    fn derive(&mut self, parameters: &Parameters, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError> {
        let params = Self::params(&parameters.cost, tag.len())?;
        let count = params.block_count();
        let version = match parameters.version {
            Version::V16 => argon2::Version::V0x10,
            Version::V19 => argon2::Version::V0x13,
        };
        let mut once = if count > self.0.len() { Self::blocks(count)? } else { Vec::new() };
        let blocks = if once.is_empty() { &mut self.0[..count] } else { &mut once[..] };
        let done = argon2::Argon2::new(argon2::Algorithm::Argon2id, version, params).hash_password_into_with_memory(
            password,
            &parameters.salt,
            tag,
            &mut *blocks,
        );
        blocks.iter_mut().for_each(zeroize::Zeroize::zeroize);
        done.map_err(|_| HashingError::Failed)
    }
}
