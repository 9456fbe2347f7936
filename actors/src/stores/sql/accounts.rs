//! [`AccountStore`] on SQL: which statements form one change. The statements are in `users`, `apps`, `keys` and
//! `installation`.

use super::{SqlStore, apps, deletion, installation, keys, outbox, users};
use crate::domain::{AppId, AppName, Digest, Email, KeyRowId, Locale, Phone, UserId};
use crate::stores::{
    AccountStore, Application, ApplicationChange, Candidate, CandidateQuery, ChangedBy, Created, Deletion,
    ImportedUser, Invitation, KeyRecord, NewApplication, NewKey, NewUser, PasswordChange, Revocation, StoreResult,
    Unchanged, User, UserChange,
};
use async_trait::async_trait;
use std::time::Duration;

/// Each row of an import adds this to its time-out. Any healthy database inserts more than 1,000 rows a second.
const IMPORT_TIME_PER_ROW: Duration = Duration::from_millis(1);
/// More rows in one statement than this gain nothing.
const ROWS_PER_STATEMENT: usize = 100;
/// Decoys that one statement deletes.
const DECOYS: i64 = 1_000;

#[async_trait]
impl AccountStore for SqlStore {
    async fn user_by_email(&self, email: &Email) -> StoreResult<Option<User>> {
        self.read(async |c| users::by_email(c, email).await).await
    }

    async fn candidate(&self, query: CandidateQuery<'_>) -> StoreResult<Candidate> {
        self.read(async |c| users::candidate(c, query).await).await
    }

    async fn user(&self, id: UserId) -> StoreResult<Option<User>> {
        self.read(async |c| users::by_id(c, id).await).await
    }

    async fn users(&self, after: UserId, limit: u32) -> StoreResult<Vec<User>> {
        self.read(async |c| users::page(c, after, limit).await).await
    }

    async fn create_user(&self, new: NewUser) -> StoreResult<Created<UserId>> {
        let new = [new.into()];
        let made = self.write(async |c| users::insert(c, &new, self.clock.now()).await).await?;
        Ok(made.first().copied().unwrap_or(Created::Duplicate))
    }

    async fn add_user(&self, new: NewUser, invitation: Option<Invitation>) -> StoreResult<Created<User>> {
        let (new, now) = ([new.into()], self.clock.now());
        self.transaction(async |c| {
            let made = users::insert(c, &new, now).await?;
            let Some(Created::New(id)) = made.first() else { return Ok(Created::Duplicate) };
            let user = users::by_id(c, *id).await?.ok_or(sqlx::Error::RowNotFound)?;
            if let Some(invitation) = invitation {
                let locale = user.locale.unwrap_or_default();
                outbox::insert(c, &invitation.message(user.id, user.email.clone(), locale), self.time()).await?;
            }
            Ok(Created::New(user))
        })
        .await
    }

    async fn change_user(
        &self,
        user: UserId,
        change: &UserChange,
        by: ChangedBy,
    ) -> StoreResult<Result<(User, Option<Revocation>), Unchanged>> {
        let now = self.clock.now();
        self.transaction(async |c| {
            if let Err(refused) = users::permitted(c, user, change.admin, by).await? {
                return Ok(Err(refused));
            }
            users::change(c, user, change).await?;
            if change.admin == Some(false) {
                keys::revoke_all_but_acting(c, user, now).await?;
            }
            let revocation = match change.disabled {
                Some(true) => users::disable(c, user, now).await?,
                Some(false) => users::enable(c, user).await.map(|_| None)?,
                None => None,
            };
            let user = users::by_id(c, user).await?;
            Ok(user.map(|user| (user, revocation)).ok_or(Unchanged::NoSuchUser))
        })
        .await
    }

    async fn import_users(&self, rows: Vec<ImportedUser>) -> StoreResult<Vec<Created<UserId>>> {
        let more = IMPORT_TIME_PER_ROW.saturating_mul(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let now = self.clock.now();
        self.long_transaction(self.time_out.saturating_add(more), async |c| {
            let mut created = Vec::with_capacity(rows.len());
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                created.extend(users::insert(c, rows, now).await?);
            }
            Ok(created)
        })
        .await
    }

    async fn upgrade_hash(&self, user: UserId, old: &str, new: &str) -> StoreResult<bool> {
        self.write(async |c| users::upgrade_hash(c, user, old, new).await).await
    }

    async fn change_password(&self, change: PasswordChange) -> StoreResult<Option<Revocation>> {
        let now = self.clock.now();
        self.transaction(async |c| {
            let revocation = users::change_password(c, &change, now).await?;
            if revocation.is_some() {
                outbox::insert(c, &change.notice, self.time()).await?;
            }
            Ok(revocation)
        })
        .await
    }

    async fn disable_user(&self, user: UserId) -> StoreResult<Option<Revocation>> {
        self.transaction(async |c| users::disable(c, user, self.clock.now()).await).await
    }

    async fn sign_out_user(&self, user: UserId) -> StoreResult<Option<Revocation>> {
        self.transaction(async |c| users::sign_out(c, user, self.clock.now()).await).await
    }

    async fn delete_user(&self, user: UserId, by: ChangedBy) -> StoreResult<Result<Deletion, Unchanged>> {
        self.transaction(async |c| {
            if let Err(refused) = users::permitted(c, user, None, by).await? {
                return Ok(Err(refused));
            }
            Ok(deletion::delete(c, user, self.clock.now()).await?.ok_or(Unchanged::NoSuchUser))
        })
        .await
    }

    async fn enable_user(&self, user: UserId) -> StoreResult<bool> {
        self.write(async |c| users::enable(c, user).await).await
    }

    async fn set_phone(&self, user: UserId, phone: &Phone) -> StoreResult<bool> {
        self.write(async |c| users::set_phone(c, user, phone, self.clock.now()).await).await
    }

    async fn set_locale(&self, user: UserId, locale: Locale) -> StoreResult<()> {
        self.write(async |c| users::set_locale(c, user, locale).await).await
    }

    async fn count_failure(&self, user: UserId) -> StoreResult<i64> {
        self.write(async |c| users::count_failure(c, user, self.clock.now()).await).await
    }

    async fn forget_failures(&self, user: UserId) -> StoreResult<()> {
        self.write(async |c| users::forget_failures(c, user).await).await
    }

    async fn forget_decoys(&self, few: i64, soon: Duration, late: Duration) -> StoreResult<u64> {
        let now = self.clock.now();
        self.write(async |c| users::forget_decoys(c, few, now.minus(soon), now.minus(late), DECOYS).await).await
    }

    async fn costliest_import(&self) -> StoreResult<u64> {
        self.read(async |c| users::costliest_import(c).await).await
    }

    async fn installation_secret(&self, name: &'static str, fresh: [u8; 32]) -> StoreResult<[u8; 32]> {
        self.transaction(async |c| installation::secret(c, name, fresh).await).await
    }

    async fn application(&self, name: Option<&AppName>) -> StoreResult<Option<Application>> {
        self.read(async |c| apps::by_name(c, name).await).await
    }

    async fn application_by_id(&self, id: AppId) -> StoreResult<Option<Application>> {
        self.read(async |c| apps::by_id(c, id).await).await
    }

    async fn applications(&self) -> StoreResult<Vec<Application>> {
        self.read(async |c| apps::all(c).await).await
    }

    async fn set_default_application(&self, name: &AppName) -> StoreResult<bool> {
        self.transaction(async |c| apps::set_default(c, name).await).await
    }

    async fn change_application(&self, name: &AppName, change: ApplicationChange) -> StoreResult<bool> {
        self.transaction(async |c| apps::change(c, name, &change).await).await
    }

    async fn create_application(&self, new: NewApplication) -> StoreResult<Created<AppId>> {
        self.transaction(async |c| apps::insert(c, &new, self.clock.now()).await).await
    }

    async fn live_key(&self, digest: Digest) -> StoreResult<Option<KeyRecord>> {
        self.read(async |c| keys::live(c, digest, self.clock.now()).await).await
    }

    async fn note_key_use(&self, id: KeyRowId) -> StoreResult<()> {
        self.write(async |c| keys::note_use(c, id, self.clock.now()).await).await
    }

    async fn keys(&self) -> StoreResult<Vec<KeyRecord>> {
        self.read(async |c| keys::all(c).await).await
    }

    async fn create_key(&self, new: NewKey) -> StoreResult<Created<KeyRowId>> {
        self.write(async |c| keys::insert(c, &new, self.clock.now()).await).await
    }

    async fn revoke_key(&self, id: KeyRowId) -> StoreResult<bool> {
        self.write(async |c| keys::revoke(c, id, self.clock.now()).await).await
    }
}
