//! The applications, in memory: a sign-in does not ask SQL for its application, and a check not for the name of one.
//!
//! One is shared by all threads. [`Applications::follow`] is called with each pulse, since the command line and other nodes
//! add applications and choose the default one. What was valid longer ago than [`VALID`] is not used, except for names: the
//! name of a number never changes.

use crate::domain::{AppId, AppName};
use crate::error::{Dependency, ErrorKind};
use crate::stores::{AccountStore, Application, Pulse, StoreResult};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// A change elsewhere takes effect within a second, also if a refresh is late.
const VALID: Duration = Duration::from_secs(1);

/// All applications as they were read last.
pub struct Applications {
    accounts: Arc<dyn AccountStore>,
    read: RwLock<Option<Read>>,
}

#[derive(Clone)]
struct Read {
    applications: Arc<[Application]>,
    /// What the pulse before said of them; `None` if they were read for another reason.
    state: Option<String>,
    /// Nothing had changed at this time.
    began: Instant,
}

impl Applications {
    /// Reads nothing yet.
    pub fn new(accounts: Arc<dyn AccountStore>) -> Self {
        Self { accounts, read: RwLock::default() }
    }

    /// Reads all applications.
    ///
    /// # Errors
    /// SQL does not answer. What was read before stays for its time.
    pub async fn refresh(&self) -> StoreResult<()> {
        self.read(None).await
    }

    /// Reads all applications if they have changed since the pulse before. If not, what was read is valid from this pulse on.
    ///
    /// # Errors
    /// As [`Applications::refresh`].
    pub async fn follow(&self, pulse: &Pulse) -> StoreResult<()> {
        {
            let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(read) = read.as_mut().filter(|read| read.state.as_ref() == Some(&pulse.applications)) {
                read.began = read.began.max(pulse.began);
                return Ok(());
            }
        }
        self.read(Some(pulse.applications.clone())).await
    }

    async fn read(&self, state: Option<String>) -> StoreResult<()> {
        let began = Instant::now();
        let applications = self.accounts.applications().await?.into();
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if read.as_ref().is_none_or(|earlier| earlier.began < began) {
            *read = Some(Read { applications, state, began });
        }
        Ok(())
    }

    /// By name, or the default application if there is no name. SQL is asked for a name that is not in memory, and for
    /// all if they were not read for a while.
    ///
    /// # Errors
    /// SQL does not answer.
    pub async fn find(&self, name: Option<&AppName>) -> StoreResult<Option<Application>> {
        match self.remembered(name) {
            Some(application) => Ok(Some(application)),
            None => self.accounts.application(name).await,
        }
    }

    /// The name of an application. SQL is asked only for one that is not in memory.
    ///
    /// # Errors
    /// SQL does not answer, or there is no such application.
    pub async fn name(&self, app: AppId) -> Result<AppName, ErrorKind> {
        let read = self.last();
        let known = read.iter().flat_map(|read| &*read.applications).find(|known| known.id == app);
        if let Some(known) = known {
            return Ok(known.name.clone());
        }
        let found = self.accounts.application_by_id(app).await?;
        Ok(found.ok_or(ErrorKind::DependencyUnavailable(Dependency::Database))?.name)
    }

    fn last(&self) -> Option<Read> {
        self.read.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remembered(&self, name: Option<&AppName>) -> Option<Application> {
        let read = self.last()?;
        if read.began.elapsed() >= VALID {
            return None;
        }
        let named = |application: &&Application| match name {
            Some(name) => application.name == *name,
            None => application.is_default,
        };
        read.applications.iter().find(named).cloned()
    }
}
