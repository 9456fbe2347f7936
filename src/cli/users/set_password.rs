//! `users set-password`: like every change of a password, with rules, a notice, and the end of all sessions.

use super::password_prompt::new_password;
use super::{Context, Database, Failure, find, revoke};
use crate::config::Config;
use portcullis_actors::account::password_change;
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::AccountStore as _;
use serde_json::json;

pub(super) async fn run(
    context: &Context,
    config: &Config,
    accounts: &Database,
    user: &str,
    from_stdin: bool,
) -> Result<(), Failure> {
    let user = find(accounts, user).await?;
    let id = user.id;
    if user.disabled.is_some() {
        return Err(Failure(format!("user {id} is disabled: portcullis users enable {id}")));
    }
    let app = accounts.application(None).await?;
    let app = app.ok_or_else(|| Failure("the notice needs an application: portcullis apps add".into()))?;
    let password = new_password(from_stdin)?;
    config.passwords.accept(&password, &user.email).map_err(Failure::because)?;
    let pool = HashingPool::start(&config.hashing).map_err(Failure::because)?;
    let hash = pool.hash(&password).await.map_err(Failure::because)?;
    let change = password_change(&user, hash, app.id, None, SystemClock.now());
    let revocation = accounts.change_password(change).await?;
    let revocation = revocation
        .ok_or_else(|| Failure("the password was changed by someone else meanwhile; nothing was done".into()))?;
    let ended = revoke::apply(config, accounts, &revocation).await;
    context.output.answer(&json!({"id": id, "password_set": true, "ended": ended.is_ok()}), || {
        format!("The password of user {id} is set, and a notice is queued. {}", revoke::summary(&ended))
    });
    Ok(())
}
