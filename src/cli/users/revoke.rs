//! `users disable|sign-out|delete`: ends sessions, codes and resets. The change is made in SQL. This command applies it to
//! the token store. If the token store cannot be reached, a server applies it later.

use super::{Context, Database, Failure, find};
use crate::app::TokenStore;
use crate::config::Config;
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::stores::{AccountStore as _, ChangedBy, Revocation};
use serde_json::json;
use std::sync::Arc;

/// What happens to the user.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Disable,
    SignOut,
    Delete,
}

pub(super) async fn run(
    context: &Context,
    config: &Config,
    accounts: &Database,
    user: &str,
    change: Change,
) -> Result<(), Failure> {
    let id = find(accounts, user).await?.id;
    let revocation = match change {
        Change::Disable => accounts.disable_user(id).await?,
        Change::SignOut => accounts.sign_out_user(id).await?,
        Change::Delete => accounts.delete_user(id, ChangedBy::Trusted).await?.ok().map(|deletion| deletion.revocation),
    };
    // Another process may have deleted the user meanwhile.
    let revocation = revocation.ok_or_else(|| Failure("there is no such user".to_owned()))?;
    let ended = apply(config, accounts, &revocation).await;
    let mut object = json!({"id": id, "ended": ended.is_ok()});
    let text = match change {
        Change::Disable => {
            object["disabled"] = true.into();
            format!("User {id} is disabled, and their keys are revoked.")
        }
        Change::SignOut => format!("User {id} is signed out."),
        Change::Delete => {
            object["deleted"] = true.into();
            format!("User {id} is deleted.")
        }
    };
    context.output.answer(&object, || format!("{text} {}", summary(&ended)));
    Ok(())
}

/// Applies the revocation to the token store, or says why this has to wait.
pub(super) async fn apply(config: &Config, accounts: &Database, revocation: &Revocation) -> Result<(), String> {
    let (clock, revocations) = (Arc::new(SystemClock), Arc::new(accounts.clone()));
    // A store in the file of the database may be created. A separate file may be in another folder than this one.
    let tokens = match config.database.file() {
        Some(_) => TokenStore::open(config, clock, accounts).await,
        None => TokenStore::open_existing(config, clock, accounts).await,
    };
    let sessions = tokens.map_err(|error| error.to_string())?.sessions();
    Revoker { revocations, sessions }.try_apply(revocation).await.map_err(|error| error.to_string())
}

/// What happened to the sessions.
pub(super) fn summary(ended: &Result<(), String>) -> String {
    match ended {
        Ok(()) => "Sessions, codes and resets have ended.".to_owned(),
        Err(reason) => format!(
            "Sessions, codes and resets have not yet ended ({reason}). A running server ends them within a second after \
             it reaches both stores."
        ),
    }
}
