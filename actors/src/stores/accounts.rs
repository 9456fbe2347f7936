//! The SQL side, first half: accounts, applications and server keys.

use super::{Revocation, StoreResult};
use crate::clock::Timestamp;
use crate::domain::{AppId, AppName, Digest, Email, KeyRowId, KeyScope, Locale, PersonName, Phone, UserId};
use crate::stores::NewMessage;
use async_trait::async_trait;
use std::time::Duration;

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// What it signs in with.
    pub email: Email,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// A PHC string (`$argon2id$…`) or a bcrypt hash (`$2b$…`).
    pub password_hash: String,
    /// May use what is for administrators.
    pub admin: bool,
    /// Since when it may not sign in.
    pub disabled: Option<Timestamp>,
    /// A verified phone number.
    pub phone: Option<Phone>,
    /// The language of its messages, as far as known.
    pub locale: Option<Locale>,
    /// Grows with every "sign out everywhere" that belongs to a change of the account.
    pub epoch: i64,
    /// Wrong passwords in a row; a success or a reset sets it to zero.
    pub failures: i64,
    /// When it was made.
    pub created: Timestamp,
}

/// Who may be meant by an address at a sign-in.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The account, disabled or not.
    pub user: Option<User>,
    /// Wrong passwords in a row, of the account or of its decoy.
    pub failures: i64,
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What it signs in with.
    pub email: Email,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// The hash of its password.
    pub password_hash: String,
    /// May use what is for administrators.
    pub admin: bool,
}

/// An account from elsewhere.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// The account.
    pub user: NewUser,
    /// What comparing with its hash costs, in the unit of [`Cost::work`](crate::hashing::Cost::work); 0 for a hash that
    /// this server made.
    pub hash_work: u64,
    /// A phone number that counts as verified.
    pub phone: Option<Phone>,
    /// When it was made there.
    pub created: Option<Timestamp>,
}

impl From<NewUser> for ImportedUser {
    /// An account that begins here.
    fn from(user: NewUser) -> Self {
        Self { user, hash_work: 0, phone: None, created: None }
    }
}

/// What became of a thing to make whose name may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created<Id> {
    /// Made, under this number.
    New(Id),
    /// The name was taken; nothing was made.
    Duplicate,
}

/// An application that users sign in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its number.
    pub id: AppId,
    /// `app_id` to clients.
    pub name: AppName,
    /// What its messages call it.
    pub brand: String,
    /// The sender of its mails, if not the configured one.
    pub mail_from: Option<String>,
    /// The sender of its SMS, if not the provider's.
    pub sms_from: Option<String>,
    /// It serves requests that name none.
    pub is_default: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// An application to make.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// `app_id` to clients.
    pub name: AppName,
    /// What its messages call it.
    pub brand: String,
    /// The sender of its mails, if not the configured one.
    pub mail_from: Option<String>,
    /// The sender of its SMS, if not the provider's.
    pub sms_from: Option<String>,
}

/// A server key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its number.
    pub id: KeyRowId,
    /// Its application.
    pub app: AppId,
    /// Its application's name.
    pub app_name: AppName,
    /// The user it acts as.
    pub owner: UserId,
    /// What it may do.
    pub scopes: Vec<KeyScope>,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it is dead by itself.
    pub revoked: Option<Timestamp>,
}

/// A server key to make.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The digest of the key.
    pub digest: Digest,
    /// Its application.
    pub app: AppId,
    /// The user it acts as.
    pub owner: UserId,
    /// What it may do.
    pub scopes: Vec<KeyScope>,
}

/// A change of password and all that belongs to it; one transaction.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// Whose.
    pub user: UserId,
    /// The hash this change was decided on: if another one stands there by now, nothing happens.
    pub old_hash: String,
    /// The hash to set.
    pub new_hash: String,
    /// A session that survives.
    pub keep: Option<Digest>,
    /// The notice to the owner.
    pub notice: NewMessage,
}

/// Users, applications and server keys.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// By address, disabled or not.
    async fn user_by_email(&self, email: &Email) -> StoreResult<Option<User>>;

    /// By address, for a sign-in: with the wrong passwords of the account, or of `decoy` where there is none. The same
    /// statement for both.
    async fn candidate(&self, email: &Email, decoy: UserId) -> StoreResult<Candidate>;

    /// By number, disabled or not.
    async fn user(&self, id: UserId) -> StoreResult<Option<User>>;

    /// Up to `most` accounts with a number above `after`, in order.
    async fn users(&self, after: UserId, most: u32) -> StoreResult<Vec<User>>;

    /// Makes an account.
    async fn create_user(&self, new: NewUser) -> StoreResult<Created<UserId>>;

    /// Makes accounts in one transaction; the answers are in the order of the rows. A taken address is a `Duplicate`
    /// and harms no other row.
    async fn import_users(&self, rows: Vec<ImportedUser>) -> StoreResult<Vec<Created<UserId>>>;

    /// Replaces a hash by a better one of the same password, if `old` still stands there: an upgrade that loses a race
    /// against a reset changes nothing and answers false.
    async fn upgrade_hash(&self, user: UserId, old: &str, new: &str) -> StoreResult<bool>;

    /// Sets a new password, counts the epoch up, forgets wrong passwords and known devices, writes the revocation, and
    /// queues the notice. `None` if the old hash no longer stands there or the account is disabled.
    async fn change_password(&self, change: PasswordChange) -> StoreResult<Option<Revocation>>;

    /// Disables the account, counts the epoch up and writes the revocation. `None` if there is no such account;
    /// disabling twice writes two revocations and is otherwise idempotent.
    async fn disable_user(&self, user: UserId) -> StoreResult<Option<Revocation>>;

    /// Counts the epoch up and writes the revocation, and changes nothing else. `None` if there is no such account.
    async fn sign_out_user(&self, user: UserId) -> StoreResult<Option<Revocation>>;

    /// Deletes the account with its devices, push registrations and keys, takes all that names the person out of its
    /// messages and stops them, and writes a revocation, which stays until the token store has applied it. `None` if there
    /// is no such account. Numbers are never given again.
    async fn delete_user(&self, user: UserId) -> StoreResult<Option<Revocation>>;

    /// Enables the account. False if there is none.
    async fn enable_user(&self, user: UserId) -> StoreResult<bool>;

    /// Keeps a verified number. False if there is no such account or it is disabled.
    async fn set_phone(&self, user: UserId, phone: &Phone) -> StoreResult<bool>;

    /// Keeps the language of the user's messages.
    async fn set_locale(&self, user: UserId, locale: Locale) -> StoreResult<()>;

    /// Counts one wrong password more, of an account or of a decoy, and says how many in a row that makes.
    async fn count_failure(&self, user: UserId) -> StoreResult<i64>;

    /// Sets the wrong passwords in a row to zero.
    async fn forget_failures(&self, user: UserId) -> StoreResult<()>;

    /// Forgets wrong passwords of decoys: up to `few` of them after `soon`, more of them after `late`. Those of accounts
    /// stay. Some at a time; says how many, 0 when there are no more.
    async fn forget_decoys(&self, few: i64, soon: Duration, late: Duration) -> StoreResult<u64>;

    /// What the costliest imported password hash costs to compare with, in the unit of
    /// [`Cost::work`](crate::hashing::Cost::work); 0 when there is none (any more).
    async fn costliest_import(&self) -> StoreResult<u64>;

    /// The installation's secret of this name: `fresh` if there was none, else the one that is there. The same for all nodes.
    async fn installation_secret(&self, name: &'static str, fresh: [u8; 32]) -> StoreResult<[u8; 32]>;

    /// By name; `None` for the name means the default application, the one that is marked as such.
    async fn application(&self, name: Option<&AppName>) -> StoreResult<Option<Application>>;

    /// By number.
    async fn application_by_id(&self, id: AppId) -> StoreResult<Option<Application>>;

    /// All of them, in order of their numbers.
    async fn applications(&self) -> StoreResult<Vec<Application>>;

    /// Moves the mark of the default application to this one, in one step. False, and nothing happens, if there is none
    /// of this name.
    async fn set_default_application(&self, name: &AppName) -> StoreResult<bool>;

    /// Makes an application. Where none is the default it becomes it; of many made at once, one.
    async fn create_application(&self, new: NewApplication) -> StoreResult<Created<AppId>>;

    /// A key that lives: not revoked, its owner not disabled.
    async fn live_key(&self, digest: Digest) -> StoreResult<Option<KeyRecord>>;

    /// All of them, dead ones too.
    async fn keys(&self) -> StoreResult<Vec<KeyRecord>>;

    /// Makes a key.
    async fn create_key(&self, new: NewKey) -> StoreResult<Created<KeyRowId>>;

    /// Kills a key; false if there is none.
    async fn revoke_key(&self, id: KeyRowId) -> StoreResult<bool>;

    /// Answers if the database can be read; for readiness.
    async fn ping(&self) -> StoreResult<()>;
}
