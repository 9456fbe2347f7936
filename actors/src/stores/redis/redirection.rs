//! What a cluster, or a pool of a primary that was replaced, tells instead of running a call.

use crate::error::StoreError;
use deadpool::managed::PoolError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What a cluster tells instead of running a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// Another primary has the slot.
    Moved,
    /// The key is no more here, and the slot is on its way there: host, if it is another one, and port.
    Ask(String),
    /// Some of the keys are no more here.
    TryAgain,
    /// Another primary has taken the place of this one, whose pool is closed.
    Replaced,
}

impl Redirection {
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => Some(Self::Moved),
            ErrorKind::Server(ServerErrorKind::Ask) => {
                error.redirect_node().map(|(address, _)| Self::Ask(address.to_owned()))
            }
            ErrorKind::Server(ServerErrorKind::TryAgain) => Some(Self::TryAgain),
            _ => None,
        }
    }

    pub(super) fn behind(error: &StoreError) -> Option<Self> {
        match error.source.downcast_ref() {
            Some(PoolError::<RedisError>::Closed) => Some(Self::Replaced),
            _ => error.source.downcast_ref().and_then(Self::of),
        }
    }
}
