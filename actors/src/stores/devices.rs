//! Traits of the SQL side: devices with their push registrations, and revocations.

use super::StoreResult;
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, DeviceToken, Digest, MobileOs, PushToken, UserId};
use async_trait::async_trait;

/// A device of a user in an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub id: DeviceId,
    pub app: AppId,
    /// The client's own identifier of it.
    pub device_token: DeviceToken,
    pub mobile_os: MobileOs,
    /// `None` if no push token is registered.
    pub push: Option<PushToken>,
    /// When it last signed in or registered, as far as it was written: an actor writes it once in a while.
    pub seen: Timestamp,
}

/// The row of a device, as a sign-in or a registration finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDevice {
    pub id: DeviceId,
    pub mobile_os: MobileOs,
    /// `None` if no push token is registered.
    pub push: Option<PushToken>,
    /// When it last signed in or registered, as far as it was written.
    pub seen: Timestamp,
    /// When a sign-in last succeeded on it in this application, as far as it was written; `None` also after a change of
    /// password.
    pub signed_in: Option<Timestamp>,
}

impl FoundDevice {
    /// Whether a registration with these values would change more than times.
    pub fn differs(&self, mobile_os: MobileOs, push: Option<&PushToken>) -> bool {
        self.mobile_os != mobile_os || push.is_some_and(|push| self.push.as_ref() != Some(push))
    }
}

/// A device that signs in or registers.
#[derive(Clone, Debug)]
pub struct Registration {
    pub user: UserId,
    pub app: AppId,
    /// The client's own identifier of it.
    pub device_token: DeviceToken,
    pub mobile_os: MobileOs,
    /// `None` keeps the registered push token.
    pub push: Option<PushToken>,
    /// If a sign-in succeeded on it: the user's epoch, read *before* the password was checked. Only a sign-in makes a device
    /// a known one.
    pub signed_in: Option<i64>,
    /// Devices that the user may have in the application, this one included. The least recently seen are deleted.
    pub max_devices: u32,
}

/// The result of [`DeviceStore::register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    pub device: DeviceId,
    /// The owner of another device that the push token was taken from.
    pub taken_from: Option<UserId>,
}

/// Which push registration of a user to delete.
#[derive(Clone, Debug)]
pub enum PushDrop {
    /// The one with this push token. If there is none, that of the device with this text as its `device_token`.
    Named {
        name: PushToken,
        app: AppId,
    },
    /// Those with this push token, in all applications.
    Token(PushToken),
    Device {
        device_token: DeviceToken,
        app: AppId,
    },
}

/// Devices and push registrations.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    /// Creates or updates the device, and registers its push token if there is one. A push token of an application
    /// belongs to one device: the last to register it, also in a race. Beyond `max_devices` the least recently seen
    /// devices of the user in the application are deleted, with their registrations.
    ///
    /// `None`, and nothing is written, if the epoch of the sign-in is no longer the user's, also in a race with its change:
    /// the device must not be known to the new password because of the old one.
    async fn register(&self, registration: Registration) -> StoreResult<Option<Registered>>;

    /// The user who has this push token in an application.
    async fn push_owner(&self, app: AppId, push: &PushToken) -> StoreResult<Option<UserId>>;

    /// The device of a user in an application.
    async fn find(&self, user: UserId, app: AppId, device: &DeviceToken) -> StoreResult<Option<FoundDevice>>;

    /// Deletes a push registration of this user. False if there was none. The device stays known.
    async fn drop_push(&self, user: UserId, which: PushDrop) -> StoreResult<bool>;

    /// The user's devices in an application, or in all, the most recently seen first.
    async fn devices(&self, user: UserId, app: Option<AppId>) -> StoreResult<Vec<Device>>;

    /// The user's devices in an application that have a push registration.
    async fn registered(&self, user: UserId, app: AppId) -> StoreResult<Vec<Device>>;

    /// The user's devices with these ids, at most about 50. Deleted ones are left out.
    async fn devices_by_id(&self, user: UserId, ids: &[DeviceId]) -> StoreResult<Vec<Device>>;
}

/// Sessions that must end because of a change in SQL. It is written in the transaction of that change, and is applied to
/// the token store until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub id: i64,
    pub user: UserId,
    /// The user's epoch after the change.
    pub epoch: i64,
    /// A session that is not closed.
    pub keep: Option<Digest>,
    pub created: Timestamp,
}

/// Revocations connect the two sides.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Up to `limit` that are not acknowledged yet and come after the one with this id, oldest first. Ids begin with 1.
    async fn pending_after(&self, id: i64, limit: u32) -> StoreResult<Vec<Revocation>>;

    /// Up to `limit` that were written since `since` (at most a day ago), acknowledged or not, oldest first. A failover
    /// of the token store may have lost them. The next page begins `after` the last of this one.
    async fn since(&self, since: Timestamp, after: Option<&Revocation>, limit: u32) -> StoreResult<Vec<Revocation>>;

    /// The token store has applied it. Also deletes acknowledged ones that are older than a day.
    async fn acknowledge(&self, id: i64) -> StoreResult<()>;
}
