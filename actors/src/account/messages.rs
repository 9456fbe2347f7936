//! What the account actor can be asked. The credential is checked by the actor.

use crate::domain::{AppName, Credential, DeviceToken, MobileOs, Password, PushToken, UserId};
use crate::error::ErrorKind;
use crate::stores::Device;
use actix::Message;
use tokio_util::sync::CancellationToken;

/// Replace a password by one who knows the current one; the other sessions end.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct ChangePassword {
    /// Who asks.
    pub credential: Credential,
    /// The current password.
    pub current: Password,
    /// The new one.
    pub new: Password,
    /// Cancelled when nobody waits for the answer any more: a hash that was not begun is then not begun.
    pub caller: CancellationToken,
}

/// Register or refresh where to push to a device of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<ListedDevice, ErrorKind>")]
pub struct RegisterDevice {
    /// Who asks.
    pub credential: Credential,
    /// The client's own name for the device.
    pub device_token: DeviceToken,
    /// Its system.
    pub mobile_os: MobileOs,
    /// Where to push.
    pub push: PushToken,
}

/// The caller's registrations.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<ListedDevice>, ErrorKind>")]
pub struct ListDevices(pub Credential);

/// One line of [`ListDevices`] and [`UserDevices`]: a device with a push registration.
#[derive(Debug, Clone)]
pub struct ListedDevice {
    /// The application's name.
    pub app: AppName,
    /// The device; its `push` is there.
    pub device: Device,
}

/// Drop the push registration of a device of the caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct DropDevice {
    /// Who asks.
    pub credential: Credential,
    /// The client's own name for the device.
    pub device_token: DeviceToken,
}

/// Where to push for a user, in the key's application.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<ListedDevice>, ErrorKind>")]
pub struct UserDevices {
    /// A server key with `devices:read`.
    pub credential: Credential,
    /// Whose devices.
    pub user: UserId,
}

/// A snapshot for metrics, readiness and tests.
#[derive(Debug, Message)]
#[rtype(result = "AccountSnapshot")]
pub struct Observe;

/// What one account actor has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct AccountSnapshot {
    /// Passwords changed.
    pub passwords_changed: u64,
    /// Push registrations made or refreshed.
    pub devices_registered: u64,
    /// Commands that run now.
    pub running: u64,
}
