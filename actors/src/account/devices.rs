//! Push registrations: a phone keeps its own, a back end reads those of a user.

use super::messages::{DropDevice, ListDevices, ListedDevice, RegisterDevice, UserDevices};
use super::{AccountActor, AccountPorts};
use crate::clock::Timestamp;
use crate::domain::{AppId, AppName, DeviceId, Digest, KeyScope, UserId};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::session::Principal;
use crate::stores::{Device, NotedDevice, PushDrop, Registration};

answers!(AccountActor:
    RegisterDevice => register,
    ListDevices => list,
    DropDevice => drop_one,
    UserDevices => of_user,
);

/// An app registers at each launch, nearly always what is registered already. That is answered from memory, else from
/// one read, and SQL is written only if something is new or the row has not been written for half a day.
///
/// What is in memory was confirmed by SQL, and is forgotten with the session: a change makes all caches forget it.
pub(super) async fn register(ports: &AccountPorts, request: RegisterDevice) -> Result<ListedDevice, ErrorKind> {
    let principal = ports.auth.user(&request.credential).await?;
    let app = ports.auth.app_name(principal.app()).await?;
    let (id, seen) = match unchanged(ports, &request, &principal).await? {
        Some(registered) => registered,
        None => write(ports, &request, &principal).await?,
    };
    ports.counters.borrow_mut().devices_registered += 1;
    let RegisterDevice { device_token, mobile_os, push, .. } = request;
    let device = Device { id, app: principal.app(), device_token, mobile_os, push: Some(push), seen };
    Ok(ListedDevice { app, device })
}

/// The device if it is registered just so, with the time that was written last.
async fn unchanged(
    ports: &AccountPorts,
    request: &RegisterDevice,
    principal: &Principal,
) -> Result<Option<(DeviceId, Timestamp)>, ErrorKind> {
    let RegisterDevice { device_token, mobile_os, push, .. } = request;
    let (auth, user, session) = (&ports.auth, principal.user(), principal.session());
    let is_recent = |seen| !auth.policy.wants_registration(seen, auth.clock.now());
    let registration = fingerprint(request);
    let noted = session.and_then(|session| auth.sessions.noted(user, session));
    if let Some(noted) = noted.filter(|noted| noted.registration == registration && is_recent(noted.seen)) {
        return Ok(Some((noted.device, noted.seen)));
    }
    let pending = session.and_then(|session| auth.sessions.begin_note(user, session));
    let found = ports.devices.find(user, principal.app(), device_token).await?;
    let Some(found) = found.filter(|found| !found.differs(*mobile_os, Some(push)) && is_recent(found.seen)) else {
        return Ok(None);
    };
    if let Some(pending) = pending {
        auth.sessions.note(pending, NotedDevice { registration, device: found.id, seen: found.seen });
    }
    Ok(Some((found.id, found.seen)))
}

async fn write(
    ports: &AccountPorts,
    request: &RegisterDevice,
    principal: &Principal,
) -> Result<(DeviceId, Timestamp), ErrorKind> {
    let registration = Registration {
        user: principal.user(),
        app: principal.app(),
        device_token: request.device_token.clone(),
        mobile_os: request.mobile_os,
        push: Some(request.push.clone()),
        signed_in: None,
        max_devices: ports.auth.policy.most_devices,
    };
    // Only a sign-in can come too late.
    let device = ports.auth.register(&*ports.devices, registration).await?.ok_or(ErrorKind::InvalidToken)?;
    Ok((device, ports.auth.clock.now()))
}

/// What is registered, in a few bytes. The user and the application are those of the session that it is noted with.
fn fingerprint(RegisterDevice { device_token, mobile_os, push, .. }: &RegisterDevice) -> Digest {
    let device = device_token.as_str();
    Digest::of(
        format!("{mobile_os}:{}:{device}:{}", device.len(), push.as_str(), mobile_os = mobile_os.as_str()).as_bytes(),
    )
}

pub(super) async fn list(
    ports: &AccountPorts,
    ListDevices(credential): ListDevices,
) -> Result<Vec<ListedDevice>, ErrorKind> {
    let principal = ports.auth.user(&credential).await?;
    match principal {
        Principal::Page(user, ..) => everywhere(ports, user).await,
        _ => registered(ports, principal.user(), principal.app()).await,
    }
}

pub(super) async fn drop_one(ports: &AccountPorts, request: DropDevice) -> Result<(), ErrorKind> {
    let principal = ports.auth.user(&request.credential).await?;
    let (user, app) = (principal.user(), chosen(ports, &principal, request.app.as_ref()).await?);
    let which = PushDrop::Device { device_token: request.device_token, app };
    if ports.auth.drop_push(&*ports.devices, user, which).await? { Ok(()) } else { Err(ErrorKind::NotFound) }
}

pub(super) async fn of_user(ports: &AccountPorts, request: UserDevices) -> Result<Vec<ListedDevice>, ErrorKind> {
    let key = ports.auth.key(&request.credential, KeyScope::DevicesRead).await?;
    if ports.auth.accounts.user(request.user).await?.is_none() {
        return Err(ErrorKind::NotFound);
    }
    registered(ports, request.user, key.app).await
}

/// The application that a request names. Only the settings pages may name another one than their own.
async fn chosen(ports: &AccountPorts, principal: &Principal, app: Option<&AppName>) -> Result<AppId, ErrorKind> {
    let Some(name) = app else { return Ok(principal.app()) };
    let id = ports.auth.applications.find(Some(name)).await?.ok_or(ErrorKind::NotFound)?.id;
    if id == principal.app() || matches!(principal, Principal::Page(..)) { Ok(id) } else { Err(ErrorKind::Forbidden) }
}

/// Devices with a push token. A device that has only signed in is no registration.
async fn registered(ports: &AccountPorts, user: UserId, app: AppId) -> Result<Vec<ListedDevice>, ErrorKind> {
    let name = ports.auth.app_name(app).await?;
    let registered = ports.devices.registered(user, app).await?;
    Ok(registered.into_iter().map(|device| ListedDevice { app: name.clone(), device }).collect())
}

/// The same in all applications.
async fn everywhere(ports: &AccountPorts, user: UserId) -> Result<Vec<ListedDevice>, ErrorKind> {
    let mut listed = Vec::new();
    for device in ports.devices.devices(user, None).await?.into_iter().filter(|device| device.push.is_some()) {
        listed.push(ListedDevice { app: ports.auth.app_name(device.app).await?, device });
    }
    Ok(listed)
}
