//! Revocations: SQL decides that sessions end, and the token store must apply it. A revocation is pending until then.

use crate::error::StoreError;
use crate::stores::{Revocation, RevocationStore, SessionStore};
use std::sync::Arc;

/// How many pending revocations are read at once.
const BATCH: u32 = 256;

/// Applies revocations.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Revoker {
    pub revocations: Arc<dyn RevocationStore>,
    pub sessions: Arc<dyn SessionStore>,
}

impl Revoker {
    /// Applies one now. If a store does not answer, it stays pending for [`Revoker::apply_pending`].
    pub async fn apply(&self, revocation: &Revocation) {
        if let Err(error) = self.try_apply(revocation).await {
            tracing::warn!(user = revocation.user.0, %error, "a revocation stays pending until the stores answer");
        }
    }

    /// Applies all pending ones, oldest first. Returns how many.
    ///
    /// # Errors
    /// A store does not answer. The ones applied so far are acknowledged.
    pub async fn apply_pending(&self) -> Result<usize, StoreError> {
        let mut applied = 0;
        loop {
            let pending = self.revocations.pending(BATCH).await?;
            if pending.is_empty() {
                return Ok(applied);
            }
            for revocation in &pending {
                self.try_apply(revocation).await?;
                applied += 1;
            }
        }
    }

    /// Applies one now.
    ///
    /// # Errors
    /// A store does not answer. The revocation stays pending.
    pub async fn try_apply(&self, revocation: &Revocation) -> Result<(), StoreError> {
        self.sessions.revoke(revocation.user, revocation.epoch, revocation.keep).await?;
        self.revocations.acknowledge(revocation.id).await
    }
}
