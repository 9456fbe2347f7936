//! The applications that messages are sent for, believed for a second: thousands of messages are of one application,
//! and what the command line changes is noticed soon enough.

use crate::clock::Timestamp;
use crate::domain::AppId;
use crate::stores::{AccountStore, Application, StoreResult};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// What was read lately.
#[derive(Default)]
pub(super) struct Brands(Mutex<HashMap<AppId, (Timestamp, Application)>>);

impl Brands {
    /// By number; asks the store if it was not asked within the last second.
    pub(super) async fn find(
        &self,
        accounts: &dyn AccountStore,
        id: AppId,
        now: Timestamp,
    ) -> StoreResult<Option<Application>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some((read, app)) = known
            && now.since(read) < BELIEVED_FOR
        {
            return Ok(Some(app));
        }
        let found = accounts.application_by_id(id).await?;
        if let Some(app) = &found {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (now, app.clone()));
        }
        Ok(found)
    }
}
