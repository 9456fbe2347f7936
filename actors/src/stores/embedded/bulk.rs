//! Many sessions at once, for the accounts of load tests: each commit waits for the disk, and one may hold them all.

use super::sessions::open_one;
use super::{EmbeddedTokenStore, StoreResult};
use crate::stores::{NewSession, Opening};

impl EmbeddedTokenStore {
    /// Does for each of these what [`SessionStore::open`](crate::stores::SessionStore::open) does, all or none of them.
    /// The answers have the order of the questions.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn open_all(&self, all: &[NewSession]) -> StoreResult<Vec<Opening>> {
        let Some(first) = all.first() else { return Ok(Vec::new()) };
        let now = self.inner.now();
        let opened = self
            .inner
            .change_sessions(first.user, async |db| {
                let mut opened = Vec::with_capacity(all.len());
                for new in all {
                    opened.push(open_one(db, new, now).await?);
                }
                Ok(opened)
            })
            .await?;
        let mut cache = self.inner.cache();
        all.iter().for_each(|new| cache.forget(new.user));
        Ok(opened)
    }
}
