//! The SQL side, second half: devices with their push registrations, and revocations.

use super::StoreResult;
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, DeviceToken, Digest, MobileOs, PushToken, UserId};
use async_trait::async_trait;

/// A device of a user in an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// The application.
    pub app: AppId,
    /// The client's own name for it.
    pub device_token: DeviceToken,
    /// Its system.
    pub mobile_os: MobileOs,
    /// Where to push; `None` if nothing is registered.
    pub push: Option<PushToken>,
    /// When it last signed in or registered.
    pub seen: Timestamp,
}

/// A device that signs in or registers.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Whose.
    pub user: UserId,
    /// In which application.
    pub app: AppId,
    /// The client's own name for it.
    pub device_token: DeviceToken,
    /// Its system.
    pub mobile_os: MobileOs,
    /// Where to push; `None` leaves what is registered.
    pub push: Option<PushToken>,
    /// Whether a sign-in succeeded on it: that makes it known.
    pub signed_in: bool,
    /// Devices that the user may have in the application, this one included; the least recently seen go.
    pub most: u32,
}

/// Which push registration of a user to drop.
#[derive(Clone, Debug)]
pub enum PushDrop {
    /// The one with this push token, else the one of the device with this text as its `device_token`, in one application.
    Named {
        /// What the client sent as `apn_token`.
        name: PushToken,
        /// The application.
        app: AppId,
    },
    /// The ones with this push token, in all applications.
    Token(PushToken),
    /// That of this device.
    Device {
        /// The client's own name for it.
        device_token: DeviceToken,
        /// The application.
        app: AppId,
    },
}

/// Devices and push registrations.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    /// Makes or refreshes the device, and registers its push token if it brings one: one push token of one
    /// application belongs to one device, the last to register it (races included). Beyond `most`, the least recently
    /// seen devices of the user in the application go, with their registrations.
    async fn register(&self, registration: Registration) -> StoreResult<DeviceId>;

    /// Drops a push registration of this user; false if there was none. The device stays known.
    async fn drop_push(&self, user: UserId, which: PushDrop) -> StoreResult<bool>;

    /// The user's devices in an application (or in all), newest first.
    async fn devices(&self, user: UserId, app: Option<AppId>) -> StoreResult<Vec<Device>>;

    /// Those of them in an application that have a push registration.
    async fn registered(&self, user: UserId, app: AppId) -> StoreResult<Vec<Device>>;

    /// The user's devices with these numbers, at most some 50; those that are gone are left out.
    async fn devices_by_id(&self, user: UserId, ids: &[DeviceId]) -> StoreResult<Vec<Device>>;

    /// Whether a sign-in as this user succeeded on this `device_token` since `since` and since the last change of password.
    async fn knows_device(&self, user: UserId, device: &DeviceToken, since: Timestamp) -> StoreResult<bool>;
}

/// Sessions that must end because of a change in SQL; lives in the same transaction as that change, and is applied to
/// the token store until acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its number.
    pub id: i64,
    /// Whose sessions.
    pub user: UserId,
    /// The user's epoch from then on.
    pub epoch: i64,
    /// A session that survives.
    pub keep: Option<Digest>,
    /// When it was written.
    pub created: Timestamp,
}

/// Revocations that bind the two sides together.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Those not acknowledged yet, oldest first.
    async fn pending(&self, most: u32) -> StoreResult<Vec<Revocation>>;

    /// Those written since `since` (at most a day ago), acknowledged or not, oldest first: what a failover of the token
    /// store may have lost. At most `most`; the next ones come `after` the last of these.
    async fn since(&self, since: Timestamp, after: Option<&Revocation>, most: u32) -> StoreResult<Vec<Revocation>>;

    /// The token store has applied it. What was acknowledged and is older than a day is forgotten on this occasion.
    async fn acknowledge(&self, id: i64) -> StoreResult<()>;
}
