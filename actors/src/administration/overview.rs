//! Who is in the console, and what all nodes share.

use super::messages::{Administrator, Enter, Survey, TakeSurvey};
use super::{AdministrationActor, AdministrationPorts};
use crate::error::ErrorKind;
use crate::flows::answers;
use std::time::Duration;

answers!(AdministrationActor: Enter => enter, TakeSurvey => survey);

/// How long before its end a key needs attention, and how many are named.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);
const NAMED: u32 = 10;

pub(super) async fn enter(ports: &AdministrationPorts, Enter(credential): Enter) -> Result<Administrator, ErrorKind> {
    let user = ports.auth.administrator(&credential).await?;
    Ok(Administrator { id: user.id, email: user.email, now: ports.auth.clock.now() })
}

pub(super) async fn survey(
    ports: &AdministrationPorts,
    TakeSurvey(credential): TakeSurvey,
) -> Result<Survey, ErrorKind> {
    ports.auth.administrator(&credential).await?;
    let until = ports.auth.clock.now().plus(EXPIRES_SOON);
    Ok(Survey {
        nodes: ports.store.nodes().await?,
        outbox: ports.outbox.stats().await?,
        expiring: ports.store.expiring_keys(until, NAMED).await?,
    })
}
