//! Applications: list, add, change, choose the default.

use super::messages::{AddApplication, ChangeApplication, ChooseDefaultApplication, ListApplications};
use super::{AdministrationActor, AdministrationPorts};
use crate::domain::AppId;
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::stores::{Application, Created};

answers!(AdministrationActor:
    ListApplications => list,
    AddApplication => add,
    ChangeApplication => change,
    ChooseDefaultApplication => choose,
);

pub(super) async fn list(
    ports: &AdministrationPorts,
    ListApplications(credential): ListApplications,
) -> Result<Vec<Application>, ErrorKind> {
    ports.auth.administrator(&credential).await?;
    Ok(ports.auth.accounts.applications().await?)
}

pub(super) async fn add(ports: &AdministrationPorts, request: AddApplication) -> Result<Created<AppId>, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    let created = ports.auth.accounts.create_application(request.new).await?;
    known_here(ports).await;
    Ok(created)
}

pub(super) async fn change(ports: &AdministrationPorts, request: ChangeApplication) -> Result<(), ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    if !ports.auth.accounts.change_application(&request.app, request.change).await? {
        return Err(ErrorKind::NotFound);
    }
    known_here(ports).await;
    Ok(())
}

pub(super) async fn choose(ports: &AdministrationPorts, request: ChooseDefaultApplication) -> Result<(), ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    if !ports.auth.accounts.set_default_application(&request.app).await? {
        return Err(ErrorKind::NotFound);
    }
    known_here(ports).await;
    Ok(())
}

/// Every node reads the applications twice a second. This one knows at once, as the next page should.
async fn known_here(ports: &AdministrationPorts) {
    if let Err(error) = ports.auth.applications.refresh().await {
        tracing::debug!(%error, "the applications were not read");
    }
}
