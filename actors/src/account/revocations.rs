//! Revocations: what SQL has decided about a user's sessions is applied to the token store until it is acknowledged.

use crate::error::StoreError;
use crate::stores::{Revocation, RevocationStore, SessionStore};
use std::sync::Arc;

/// How many are applied in one go.
const BATCH: u32 = 256;

/// Applies revocations.
#[derive(Clone)]
pub struct Revoker {
    /// Where they are kept.
    pub revocations: Arc<dyn RevocationStore>,
    /// Where they take effect.
    pub sessions: Arc<dyn SessionStore>,
}

impl Revoker {
    /// Applies one now. If a store does not answer, it stays pending, and [`Revoker::apply_pending`] will.
    pub async fn apply(&self, revocation: &Revocation) {
        if let Err(error) = self.try_apply(revocation).await {
            tracing::warn!(user = revocation.user.0, %error, "a revocation is pending until the stores answer");
        }
    }

    /// Applies all that are pending, oldest first; says how many.
    ///
    /// # Errors
    /// The first store that does not answer; what was applied until then is acknowledged.
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
    /// The store that does not answer; it stays pending, and [`Revoker::apply_pending`] will apply it.
    pub async fn try_apply(&self, revocation: &Revocation) -> Result<(), StoreError> {
        self.sessions.revoke(revocation.user, revocation.epoch, revocation.keep).await?;
        self.revocations.acknowledge(revocation.id).await
    }
}
