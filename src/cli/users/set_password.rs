//! `users set-password`: like every change of a password, with rules, a notice, and the end of all sessions.

use super::password_prompt::new_password;
use super::{Context, Database, Failure, find, revoke};
use crate::config::Config;
use portcullis_actors::account::NOTICE_LIFE;
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::{AccountStore as _, Destination, MessageKind, NewMessage, PasswordChange};
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
    let change = PasswordChange {
        user: id,
        old_hash: user.password_hash,
        new_hash: pool.hash(&password).await.map_err(Failure::because)?,
        keep: None,
        notice: NewMessage {
            kind: MessageKind::PasswordNotice,
            user: id,
            app: app.id,
            to: Destination::Mail(user.email),
            locale: user.locale.unwrap_or_default(),
            expires: SystemClock.now().plus(NOTICE_LIFE),
        },
    };
    let revocation = accounts.change_password(change).await?;
    let revocation = revocation
        .ok_or_else(|| Failure("the password was changed by someone else meanwhile; nothing was done".into()))?;
    let ended = revoke::apply(config, accounts, &revocation).await;
    context.output.answer(&json!({"id": id, "password_set": true, "ended": ended.is_ok()}), || {
        format!("The password of user {id} is set, and a notice is queued. {}", revoke::summary(&ended))
    });
    Ok(())
}
