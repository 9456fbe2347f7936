//! The messages of the account actor. The actor checks the credential.

use crate::clock::Timestamp;
use crate::domain::{
    AppName, Credential, DeviceToken, Email, KeyName, KeyRowId, KeyScope, Locale, MobileOs, Password, PersonName,
    Phone, PushToken, ServerKey, UserId,
};
use crate::error::ErrorKind;
use crate::stores::{Device, KeyRecord, User, UserChange};
use actix::Message;
use std::time::Duration;
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

/// The caller's push registrations in the application of the credential; in the settings pages those in all.
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
    /// `None`: that of the credential. The settings pages name it, since they belong to none.
    pub app: Option<AppName>,
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

/// An account as others may see it.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: UserId,
    pub email: Email,
    pub first_name: PersonName,
    pub last_name: PersonName,
    /// Verified.
    pub phone: Option<Phone>,
    /// `None` also for a number that was verified before this was recorded.
    pub phone_verified: Option<Timestamp>,
    /// The language of their messages.
    pub locale: Option<Locale>,
    pub created: Timestamp,
    pub admin: bool,
    /// When the account was disabled.
    pub disabled: Option<Timestamp>,
    /// Whether they were invited and have not set a password yet.
    pub invited: bool,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        Self {
            invited: user.invitation().is_some(),
            id: user.id,
            email: user.email,
            first_name: user.first_name,
            last_name: user.last_name,
            phone: user.phone,
            phone_verified: user.phone_verified,
            locale: user.locale,
            created: user.created,
            admin: user.admin,
            disabled: user.disabled,
        }
    }
}

/// The caller's own account.
#[derive(Debug, Message)]
#[rtype(result = "Result<Person, ErrorKind>")]
pub struct Profile(pub Credential);

/// Change the caller's own account. `None` keeps what is there.
#[derive(Debug, Message)]
#[rtype(result = "Result<Person, ErrorKind>")]
pub struct ChangeProfile {
    pub credential: Credential,
    pub first_name: Option<PersonName>,
    pub last_name: Option<PersonName>,
    pub locale: Option<Locale>,
}

/// Read an account.
#[derive(Debug, Message)]
#[rtype(result = "Result<Person, ErrorKind>")]
pub struct FindUser {
    /// A server key with `users:read`, or a session of the console.
    pub credential: Credential,
    pub by: FindBy,
}

/// What an account is found by.
#[derive(Debug, Clone)]
pub enum FindBy {
    Id(UserId),
    Email(Email),
}

/// Create an account that is no administrator's. Without a password its owner is invited by mail to set one.
#[derive(Debug, Message)]
#[rtype(result = "Result<Person, ErrorKind>")]
pub struct CreateUser {
    /// A server key with `users:write`, or a session of the console.
    pub credential: Credential,
    pub email: Email,
    pub first_name: PersonName,
    pub last_name: PersonName,
    /// The language of their messages.
    pub locale: Option<Locale>,
    pub password: Option<Password>,
    /// What an invitation of the console speaks for; `None`: the default application. That of a key speaks for the key's.
    pub app: Option<AppName>,
    /// Cancelled when the client has gone. A hash that has not begun is not computed then.
    pub caller: CancellationToken,
}

/// Change an account. A key changes no account of an administrator, and makes nobody one.
///
/// From the console, what gives or takes rights needs the administrator's own password again, and is refused for their own
/// account.
#[derive(Debug, Message)]
#[rtype(result = "Result<Person, ErrorKind>")]
pub struct UpdateUser {
    /// A server key with `users:write`, or a session of the console.
    pub credential: Credential,
    pub user: UserId,
    pub change: UserChange,
    /// The password of the administrator in the console, if `change` disables or names an administrator.
    pub confirmation: Option<Password>,
    /// As in [`CreateUser`].
    pub caller: CancellationToken,
}

/// Delete an account and everything about its owner. A key deletes no account of an administrator.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct DeleteUser {
    /// A server key with `users:write`, or a session of the console.
    pub credential: Credential,
    pub user: UserId,
    /// The password of the administrator in the console.
    pub confirmation: Option<Password>,
    /// As in [`CreateUser`].
    pub caller: CancellationToken,
}

/// End the sessions of a user: for a key those of its application, for the console all, with codes and resets.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct EndSessions {
    /// A server key with `sessions:revoke`, or a session of the console.
    pub credential: Credential,
    pub user: UserId,
}

/// The caller's server keys, with what they may make.
#[derive(Debug, Message)]
#[rtype(result = "Result<KeyList, ErrorKind>")]
pub struct ListKeys {
    /// A session of the settings or of the console.
    pub credential: Credential,
}

/// The answer to [`ListKeys`].
#[derive(Debug)]
pub struct KeyList {
    /// At most 100: live ones first, then the newest first.
    pub keys: Vec<(KeyRecord, KeyState)>,
    /// What a key can be made for, the default one first: name and brand.
    pub applications: Vec<(AppName, String)>,
    /// What the caller may permit a key.
    pub scopes: Vec<KeyScope>,
}

/// Whether a server key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Live,
    /// Valid until it expires: there is another one for its use.
    Replaced,
    Expired,
    Revoked,
}

/// Make a server key.
#[derive(Debug, Message)]
#[rtype(result = "Result<MadeKey, ErrorKind>")]
pub struct CreateKey {
    /// As in [`ListKeys`].
    pub credential: Credential,
    /// In the console: the user whose key it is. `None`: the caller.
    pub owner: Option<UserId>,
    pub app: AppName,
    pub name: KeyName,
    /// At least one. Those who are no administrators may permit `owner:act` only.
    pub scopes: Vec<KeyScope>,
    /// How long it is valid; `None`: until it is revoked.
    pub life: Option<Duration>,
    /// The caller's own.
    pub password: Password,
    /// Which form it is. One that is sent twice makes one key.
    pub form: [u8; 16],
    /// Cancelled when the client has gone. A hash that has not begun is not computed then.
    pub caller: CancellationToken,
}

/// Replace a server key by a new one for the same use. The old one stays valid for a while.
#[derive(Debug, Message)]
#[rtype(result = "Result<MadeKey, ErrorKind>")]
pub struct RotateKey {
    /// As in [`ListKeys`].
    pub credential: Credential,
    pub id: KeyRowId,
    /// How long the old one stays valid.
    pub overlap: Duration,
    /// As in [`CreateKey`].
    pub password: Password,
    pub form: [u8; 16],
    pub caller: CancellationToken,
}

/// A server key that was made. The server does not keep the secret.
#[derive(Debug, Clone)]
pub struct MadeKey {
    pub secret: ServerKey,
    pub key: KeyRecord,
}

/// End a server key.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ErrorKind>")]
pub struct RevokeKey {
    /// As in [`ListKeys`].
    pub credential: Credential,
    pub id: KeyRowId,
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
