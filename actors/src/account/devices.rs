//! Push registrations: a phone keeps its own, a back end reads those of a user.

use super::messages::{DropDevice, ListDevices, ListedDevice, RegisterDevice, UserDevices};
use super::{AccountActor, AccountPorts};
use crate::domain::{AppId, Credential, KeyScope, UserId};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::stores::{Device, PushDrop, Registration};

answers!(AccountActor:
    RegisterDevice => register,
    ListDevices => list,
    DropDevice => drop_one,
    UserDevices => of_user,
);

pub(super) async fn register(ports: &AccountPorts, request: RegisterDevice) -> Result<ListedDevice, ErrorKind> {
    let (user, app) = caller(ports, &request.credential).await?;
    let registration = Registration {
        user,
        app,
        device_token: request.device_token.clone(),
        mobile_os: request.mobile_os,
        push: Some(request.push.clone()),
        signed_in: false,
        max_devices: ports.auth.policy.most_devices,
    };
    let id = ports.devices.register(registration).await?;
    ports.counters.borrow_mut().devices_registered += 1;
    let device = Device {
        id,
        app,
        device_token: request.device_token,
        mobile_os: request.mobile_os,
        push: Some(request.push),
        seen: ports.auth.clock.now(),
    };
    Ok(ListedDevice { app: ports.auth.app_name(app).await?, device })
}

pub(super) async fn list(
    ports: &AccountPorts,
    ListDevices(credential): ListDevices,
) -> Result<Vec<ListedDevice>, ErrorKind> {
    let (user, app) = caller(ports, &credential).await?;
    registered(ports, user, app).await
}

pub(super) async fn drop_one(ports: &AccountPorts, request: DropDevice) -> Result<(), ErrorKind> {
    let (user, app) = caller(ports, &request.credential).await?;
    let which = PushDrop::Device { device_token: request.device_token, app };
    if ports.devices.drop_push(user, which).await? { Ok(()) } else { Err(ErrorKind::NotFound) }
}

pub(super) async fn of_user(ports: &AccountPorts, request: UserDevices) -> Result<Vec<ListedDevice>, ErrorKind> {
    let key = ports.auth.key(&request.credential, KeyScope::DevicesRead).await?;
    if ports.auth.accounts.user(request.user).await?.is_none() {
        return Err(ErrorKind::NotFound);
    }
    registered(ports, request.user, key.app).await
}

async fn caller(ports: &AccountPorts, credential: &Credential) -> Result<(UserId, AppId), ErrorKind> {
    let principal = ports.auth.user(credential).await?;
    Ok((principal.user(), principal.app()))
}

/// Devices with a push token. A device that has only signed in is no registration.
async fn registered(ports: &AccountPorts, user: UserId, app: AppId) -> Result<Vec<ListedDevice>, ErrorKind> {
    let name = ports.auth.app_name(app).await?;
    let registered = ports.devices.registered(user, app).await?;
    Ok(registered.into_iter().map(|device| ListedDevice { app: name.clone(), device }).collect())
}
