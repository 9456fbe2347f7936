//! The messages of the account actor. The actor checks the credential.

use crate::domain::{AppName, Credential, DeviceToken, MobileOs, Password, PushToken, UserId};
use crate::error::ErrorKind;
use crate::stores::Device;
use actix::Message;
use tokio_util::sync::CancellationToken;

/// Replace the password of a user who proves the current one. Their other sessions end.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct ChangePassword {
    pub credential: Credential,
    pub current: Password,
    pub new: Password,
    /// Cancelled when the client has gone. A hash that has not begun is not computed then.
    pub caller: CancellationToken,
}

/// Register a device of the caller for pushes, or refresh its registration.
#[derive(Debug, Message)]
#[rtype(result = "Result<ListedDevice, ErrorKind>")]
pub struct RegisterDevice {
    pub credential: Credential,
    /// The client's own name for the device.
    pub device_token: DeviceToken,
    pub mobile_os: MobileOs,
    pub push: PushToken,
}

/// The caller's push registrations.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<ListedDevice>, ErrorKind>")]
pub struct ListDevices(pub Credential);

/// One entry of [`ListDevices`] and [`UserDevices`].
#[derive(Debug, Clone)]
pub struct ListedDevice {
    pub app: AppName,
    /// It always has a push token.
    pub device: Device,
}

/// Drop the push registration of a device of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct DropDevice {
    pub credential: Credential,
    /// The client's own name for the device.
    pub device_token: DeviceToken,
}

/// The push registrations of a user in the key's application.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<ListedDevice>, ErrorKind>")]
pub struct UserDevices {
    /// A server key with `devices:read`.
    pub credential: Credential,
    pub user: UserId,
}

/// A snapshot for metrics, readiness and tests.
#[derive(Debug, Message)]
#[rtype(result = "AccountSnapshot")]
pub struct Observe;

/// What one account actor has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct AccountSnapshot {
    pub passwords_changed: u64,
    /// Push registrations made or refreshed.
    pub devices_registered: u64,
    pub running: u64,
}
