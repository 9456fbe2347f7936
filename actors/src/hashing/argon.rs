//! Argon2id behind one trait, its two implementations, and the judge between them. No threads and no passwords' rules here.

use super::policy::{Cost, HashingBackend};
use super::{HashingError, HashingStartError};
use argon2::Block;
use argon2_rust::params::{Memory, TagLen};
use argon2_rust::{Algorithm, Argon2, Hasher, Params};
use std::time::{Duration, Instant};

/// The two versions of argon2 that stored hashes come in; new ones are of the second (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// 1.0 (`v=16`, or none written).
    V16,
    /// 1.3 (`v=19`).
    V19,
}

/// Everything but the password that a tag depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    pub cost: Cost,
    pub version: Version,
    pub salt: Vec<u8>,
}

/// One thread's argon2id, with memory that it keeps from hash to hash.
pub(super) trait Argon2id: Send {
    /// Fills `tag` with the hash of `password`.
    ///
    /// # Errors
    /// [`HashingError::Failed`] when the memory cannot be had.
    fn derive(&mut self, recipe: &Recipe, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError>;
}

/// An implementation whose memory is ready for hashes of `cost`.
///
/// # Errors
/// [`HashingError::Failed`] when the memory cannot be had.
pub(super) fn prepared(backend: HashingBackend, cost: &Cost) -> Result<Box<dyn Argon2id>, HashingError> {
    Ok(match backend {
        HashingBackend::Simd => Box::new(Simd::prepared(cost)?),
        HashingBackend::Reference => Box::new(Reference::prepared(cost)?),
    })
}

/// Hashes once with each and compares; gives the time that `chosen` took.
///
/// # Errors
/// [`HashingStartError`] when they differ: one of the two computes something that is not argon2 on this machine.
pub(super) fn agree(
    chosen: &mut dyn Argon2id,
    judge: &mut dyn Argon2id,
    recipe: &Recipe,
) -> Result<Duration, HashingStartError> {
    let (mut one, mut other) = ([0; 32], [0; 32]);
    let begun = Instant::now();
    let password = b"one hash by each";
    chosen.derive(recipe, password, &mut one).map_err(|_| HashingStartError::NO_MEMORY)?;
    let took = begun.elapsed();
    judge.derive(recipe, password, &mut other).map_err(|_| HashingStartError::NO_MEMORY)?;
    if one == other { Ok(took) } else { Err(HashingStartError::DISAGREE) }
}

/// `argon2-rust`.
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
    fn derive(&mut self, recipe: &Recipe, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError> {
        let argon2 = Self::configured(&recipe.cost, recipe.version, tag.len())?;
        // The thread's own memory stays as large as the live cost: a larger stored hash gets memory for this once.
        let fits = argon2.params().memory_blocks() as usize <= self.0.reserved_blocks();
        let done = if fits {
            self.0.set_argon2(argon2);
            self.0.hash_into(password, &recipe.salt, tag)
        } else {
            argon2.hash_into(password, &recipe.salt, tag)
        };
        done.map_err(|_| HashingError::Failed)
    }
}

/// `argon2`.
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
    fn derive(&mut self, recipe: &Recipe, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError> {
        let params = Self::params(&recipe.cost, tag.len())?;
        let count = params.block_count();
        let version = match recipe.version {
            Version::V16 => argon2::Version::V0x10,
            Version::V19 => argon2::Version::V0x13,
        };
        let mut once = if count > self.0.len() { Self::blocks(count)? } else { Vec::new() };
        let blocks = if once.is_empty() { &mut self.0[..count] } else { &mut once[..] };
        let done = argon2::Argon2::new(argon2::Algorithm::Argon2id, version, params).hash_password_into_with_memory(
            password,
            &recipe.salt,
            tag,
            &mut *blocks,
        );
        blocks.iter_mut().for_each(zeroize::Zeroize::zeroize);
        done.map_err(|_| HashingError::Failed)
    }
}
