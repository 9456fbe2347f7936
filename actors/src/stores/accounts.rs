//! Traits of the SQL side: accounts, applications and server keys.

use super::{FoundDevice, Invitation, Revocation, StoreResult};
use crate::clock::Timestamp;
use crate::domain::{
    AppId, AppName, Colour, DeviceToken, Digest, Email, KeyRowId, KeyScope, Locale, OpenUrl, PersonName, Phone, UserId,
};
use crate::stores::NewMessage;
use async_trait::async_trait;
use std::time::Duration;

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub first_name: PersonName,
    pub last_name: PersonName,
    /// A PHC string (`$argon2id$…`), a bcrypt hash (`$2b$…`), or an [`Invitation`](super::Invitation) in its place.
    pub password_hash: String,
    pub admin: bool,
    /// When it was disabled. A disabled account may not sign in.
    pub disabled: Option<Timestamp>,
    /// Verified.
    pub phone: Option<Phone>,
    /// When the number was verified. `None` also for one that was verified before this was recorded.
    pub phone_verified: Option<Timestamp>,
    /// The language of its messages.
    pub locale: Option<Locale>,
    /// Incremented whenever the user is signed out everywhere by a change of the account.
    pub epoch: i64,
    /// Wrong passwords in a row. A success or a reset sets it to zero.
    pub failures: i64,
    pub created: Timestamp,
}

impl User {
    /// The invitation of a user who has not set a password yet, expired or not.
    pub fn invitation(&self) -> Option<Invitation> {
        Invitation::from_stored(&self.password_hash)
    }
}

/// What a sign-in asks for.
#[derive(Clone, Copy, Debug)]
pub struct CandidateQuery<'a> {
    pub email: &'a Email,
    /// Stands for the account if no account has the address.
    pub decoy: UserId,
    pub app: AppId,
    /// The device that the client names.
    pub device: Option<&'a DeviceToken>,
}

/// The account that a sign-in may be for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The account of the address, disabled or not.
    pub user: Option<User>,
    /// Wrong passwords in a row, of the account or of its decoy.
    pub failures: i64,
    /// When a sign-in to the account last succeeded on the device, in any application, since the last change of
    /// password.
    pub last_sign_in: Option<Timestamp>,
    /// The device of the account in the application.
    pub device: Option<FoundDevice>,
}

/// An account to create.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: Email,
    pub first_name: PersonName,
    pub last_name: PersonName,
    pub password_hash: String,
    pub admin: bool,
    /// The language of its messages.
    pub locale: Option<Locale>,
}

/// A change of an account. `None` keeps what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    pub first_name: Option<PersonName>,
    pub last_name: Option<PersonName>,
    pub locale: Option<Locale>,
    /// True is [`AccountStore::disable_user`], false is [`AccountStore::enable_user`].
    pub disabled: Option<bool>,
    /// False also revokes the user's keys that may do more than act for them.
    pub admin: Option<bool>,
}

/// Who changes or deletes an account. The transaction checks their right: it may have ended while a password was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedBy {
    /// The user, or somebody at the command line.
    Trusted,
    /// An administrator, who must still be one.
    Administrator(UserId),
    /// A key. It reaches no account of an administrator.
    BackEnd,
}

/// Why an account was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    NoSuchUser,
    /// The one who acts is no administrator any more, or the account is out of reach.
    NotPermitted,
    /// Nobody else who is not disabled is an administrator.
    LastAdministrator,
}

/// What is left to do after an account was deleted.
#[derive(Clone, Debug)]
pub struct Deletion {
    pub revocation: Revocation,
    /// The addresses and numbers that it was sent messages to.
    pub destinations: Vec<String>,
}

/// An account from another system.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    pub user: NewUser,
    /// The cost of one comparison with its hash, in the unit of `hashing::Cost::work`. 0 for a hash of this server.
    pub hash_work: u64,
    /// Counts as verified.
    pub phone: Option<Phone>,
    /// When it was created there.
    pub created: Option<Timestamp>,
}

impl From<NewUser> for ImportedUser {
    fn from(user: NewUser) -> Self {
        Self { user, hash_work: 0, phone: None, created: None }
    }
}

/// The result of creating something with a unique name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created<Id> {
    /// It was created.
    New(Id),
    /// The name is taken. Nothing was created.
    Duplicate,
}

/// An application that users sign in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub id: AppId,
    /// `app_id` to clients.
    pub name: AppName,
    /// The name of the application in messages.
    pub brand: String,
    /// The sender of its mails, if it is not the configured one.
    pub mail_from: Option<String>,
    /// The sender of its SMS, if it is not the one of the provider.
    pub sms_from: Option<String>,
    /// The colour of its pages and mails.
    pub colour: Option<Colour>,
    /// Opens the application on the device of the reader.
    pub open_url: Option<OpenUrl>,
    /// Whether it serves requests that name no application.
    pub is_default: bool,
    pub created: Timestamp,
}

/// An application to create.
#[derive(Clone, Debug)]
pub struct NewApplication {
    pub name: AppName,
    pub brand: String,
    pub mail_from: Option<String>,
    pub sms_from: Option<String>,
    pub colour: Option<Colour>,
    pub open_url: Option<OpenUrl>,
}

/// What changes of an application. `None` changes nothing, and `Some(None)` removes a value.
#[derive(Clone, Debug, Default)]
pub struct ApplicationChange {
    pub brand: Option<String>,
    pub mail_from: Option<Option<String>>,
    pub sms_from: Option<Option<String>>,
    pub colour: Option<Option<Colour>>,
    pub open_url: Option<Option<OpenUrl>>,
}

/// A server key. The key itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyRowId,
    pub app: AppId,
    pub app_name: AppName,
    /// The user it acts as.
    pub owner: UserId,
    pub scopes: Vec<KeyScope>,
    /// For people. May be empty.
    pub name: String,
    pub created: Timestamp,
    /// Exact to a minute.
    pub last_used: Option<Timestamp>,
    /// `None`: it is valid until it is revoked.
    pub expires: Option<Timestamp>,
    /// When it was rotated: it is valid until it expires, and there is another one for its use.
    pub replaced: Option<Timestamp>,
    pub revoked: Option<Timestamp>,
}

impl KeyRecord {
    /// The key that takes its place at `now`: for the same use, and valid for as long as this one was made for.
    pub fn successor(&self, digest: Digest, now: Timestamp) -> NewKey {
        NewKey {
            digest,
            app: self.app,
            owner: self.owner,
            scopes: self.scopes.clone(),
            name: self.name.clone(),
            expires: self.expires.map(|end| now.plus(end.since(self.created))),
        }
    }
}

/// A server key to create.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub digest: Digest,
    pub app: AppId,
    /// The user it acts as.
    pub owner: UserId,
    pub scopes: Vec<KeyScope>,
    /// For people. May be empty.
    pub name: String,
    /// `None`: it is valid until it is revoked.
    pub expires: Option<Timestamp>,
}

/// A change of password, with its consequences, in one transaction.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    pub user: UserId,
    /// The hash that the decision was based on. Nothing changes if the account has another one by now.
    pub old_hash: String,
    pub new_hash: String,
    /// A session that is not closed.
    pub keep: Option<Digest>,
    pub notice: NewMessage,
}

/// Users, applications and server keys.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Disabled or not.
    async fn user_by_email(&self, email: &Email) -> StoreResult<Option<User>>;

    /// All that a sign-in needs to know of an address: its account, wrong passwords, and the device with its push token.
    /// One statement, the same with and without an account, so that both take the same time.
    async fn candidate(&self, query: CandidateQuery<'_>) -> StoreResult<Candidate>;

    /// Disabled or not.
    async fn user(&self, id: UserId) -> StoreResult<Option<User>>;

    /// Up to `limit` accounts with an id greater than `after`, ordered by id.
    async fn users(&self, after: UserId, limit: u32) -> StoreResult<Vec<User>>;

    /// Creates an account.
    async fn create_user(&self, new: NewUser) -> StoreResult<Created<UserId>>;

    /// Creates an account and returns it. With an invitation, which takes the place of the password hash, the mail is queued
    /// in the same transaction.
    async fn add_user(&self, new: NewUser, invitation: Option<Invitation>) -> StoreResult<Created<User>>;

    /// Changes an account in one transaction and returns it, with the revocation if it was disabled. Of several changes at
    /// once, by whomever but the command line, one leaves an administrator.
    async fn change_user(
        &self,
        user: UserId,
        change: &UserChange,
        by: ChangedBy,
    ) -> StoreResult<Result<(User, Option<Revocation>), Unchanged>>;

    /// Creates accounts in one transaction. The results are in the order of the rows. An address that is taken is a
    /// `Duplicate` and does not affect other rows.
    async fn import_users(&self, rows: Vec<ImportedUser>) -> StoreResult<Vec<Created<UserId>>>;

    /// Replaces a hash by a better one of the same password, if the account still has `old`. An upgrade that loses a race
    /// against a reset changes nothing and returns false.
    async fn upgrade_hash(&self, user: UserId, old: &str, new: &str) -> StoreResult<bool>;

    /// Sets a new password, increments the epoch, forgets wrong passwords and known devices, writes the revocation, and
    /// queues the notice. `None` if the account has another hash by now or is disabled.
    async fn change_password(&self, change: PasswordChange) -> StoreResult<Option<Revocation>>;

    /// Disables the account, increments the epoch and writes the revocation. `None` if there is no such account.
    /// Disabling twice writes two revocations and is otherwise idempotent.
    async fn disable_user(&self, user: UserId) -> StoreResult<Option<Revocation>>;

    /// Increments the epoch and writes the revocation. `None` if there is no such account.
    async fn sign_out_user(&self, user: UserId) -> StoreResult<Option<Revocation>>;

    /// Deletes the account with its devices, push registrations and keys, removes personal data from its messages and
    /// stops them, and writes a revocation. Ids are never reused.
    async fn delete_user(&self, user: UserId, by: ChangedBy) -> StoreResult<Result<Deletion, Unchanged>>;

    /// False if there is no such account.
    async fn enable_user(&self, user: UserId) -> StoreResult<bool>;

    /// Stores a verified number. False if there is no such account or it is disabled.
    async fn set_phone(&self, user: UserId, phone: &Phone) -> StoreResult<bool>;

    /// Stores the language of the user's messages.
    async fn set_locale(&self, user: UserId, locale: Locale) -> StoreResult<()>;

    /// Counts a wrong password of an account or of a decoy. Returns how many in a row there are.
    async fn count_failure(&self, user: UserId) -> StoreResult<i64>;

    /// Sets the wrong passwords in a row to zero.
    async fn forget_failures(&self, user: UserId) -> StoreResult<()>;

    /// Deletes counts of wrong passwords of decoys: counts up to `few` after `soon`, higher ones after `late`. Those of
    /// accounts stay. Deletes a limited number in one call. Returns how many; 0 when there are no more.
    async fn forget_decoys(&self, few: i64, soon: Duration, late: Duration) -> StoreResult<u64>;

    /// The highest cost of one comparison with an imported hash, in the unit of `hashing::Cost::work`. 0 if there is no
    /// imported hash.
    async fn costliest_import(&self) -> StoreResult<u64>;

    /// The installation's secret of this name. Stores `fresh` if there is none. It is the same for all nodes.
    async fn installation_secret(&self, name: &'static str, fresh: [u8; 32]) -> StoreResult<[u8; 32]>;

    /// By name, or the default application if there is no name.
    async fn application(&self, name: Option<&AppName>) -> StoreResult<Option<Application>>;

    /// By id.
    async fn application_by_id(&self, id: AppId) -> StoreResult<Option<Application>>;

    /// All, ordered by id.
    async fn applications(&self) -> StoreResult<Vec<Application>>;

    /// Makes this application the default one, in one step. False if there is no such application.
    async fn set_default_application(&self, name: &AppName) -> StoreResult<bool>;

    /// Changes an application. False if there is no such application.
    async fn change_application(&self, name: &AppName, change: ApplicationChange) -> StoreResult<bool>;

    /// Creates an application. It becomes the default if there is none; of several created at once, exactly one does.
    async fn create_application(&self, new: NewApplication) -> StoreResult<Created<AppId>>;

    /// A key that is not revoked or expired, and whose owner is not disabled.
    async fn live_key(&self, digest: Digest) -> StoreResult<Option<KeyRecord>>;

    /// Writes down that a key was used now.
    async fn note_key_use(&self, id: KeyRowId) -> StoreResult<()>;

    /// All, revoked ones included.
    async fn keys(&self) -> StoreResult<Vec<KeyRecord>>;

    /// Creates a key.
    async fn create_key(&self, new: NewKey) -> StoreResult<Created<KeyRowId>>;

    /// False if there is no such key.
    async fn revoke_key(&self, id: KeyRowId) -> StoreResult<bool>;
}
