//! `users set-password`: as any change of a password, with its rules, its notice, and the end of the sessions.

use super::{Database, Refused, Shell, ending, find, new_password};
use crate::config::Config;
use portcullis_actors::account::password_change;
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::AccountStore as _;
use serde_json::json;

pub(super) async fn set(
    shell: &Shell,
    config: &Config,
    accounts: &Database,
    user: &str,
    from_stdin: bool,
) -> Result<(), Refused> {
    let user = find(accounts, user).await?;
    let id = user.id;
    if user.disabled.is_some() {
        return Err(Refused(format!("user {id} is disabled: portcullis users enable {id}")));
    }
    let app = accounts.application(None).await?;
    let app =
        app.ok_or_else(|| Refused("there is no application to send the notice for: portcullis apps add".into()))?;
    let password = new_password(from_stdin)?;
    config.passwords.accept(&password, &user.email).map_err(Refused::because)?;
    let pool = HashingPool::start(&config.hashing).map_err(Refused::because)?;
    let hash = pool.hash(&password).await.map_err(Refused::because)?;
    let change = password_change(&user, hash, app.id, None, SystemClock.now());
    let revocation = accounts.change_password(change).await?;
    let revocation =
        revocation.ok_or_else(|| Refused("the password was changed meanwhile; nothing was done".into()))?;
    let ended = ending::end(config, accounts, &revocation).await;
    shell.output.answer(&json!({"id": id, "password_set": true, "ended": ended.is_ok()}), || {
        format!("The password of user {id} is set, and the notice is queued. {}", ending::said(&ended))
    });
    Ok(())
}
