//! `users disable|sign-out|delete`: what ends at once. SQL decides; the token store is told here, or by the next server
//! that reaches both.

use super::{Database, Refused, Shell, find};
use crate::app::TokenStore;
use crate::config::Config;
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::stores::{AccountStore as _, Revocation};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn disable(shell: &Shell, config: &Config, accounts: &Database, user: &str) -> Result<(), Refused> {
    let id = find(accounts, user).await?.id;
    let revocation = accounts.disable_user(id).await?.ok_or_else(gone)?;
    let ended = end(config, accounts, &revocation).await;
    let object = json!({"id": id, "disabled": true, "ended": ended.is_ok()});
    shell.output.answer(&object, || format!("User {id} is disabled, and the keys are dead. {}", said(&ended)));
    Ok(())
}

pub(super) async fn sign_out(shell: &Shell, config: &Config, accounts: &Database, user: &str) -> Result<(), Refused> {
    let id = find(accounts, user).await?.id;
    let revocation = accounts.sign_out_user(id).await?.ok_or_else(gone)?;
    let ended = end(config, accounts, &revocation).await;
    shell.output.answer(&json!({"id": id, "ended": ended.is_ok()}), || format!("User {id}: {}", said(&ended)));
    Ok(())
}

pub(super) async fn delete(shell: &Shell, config: &Config, accounts: &Database, user: &str) -> Result<(), Refused> {
    let id = find(accounts, user).await?.id;
    let revocation = accounts.delete_user(id).await?.ok_or_else(gone)?;
    let ended = end(config, accounts, &revocation).await;
    let object = json!({"id": id, "deleted": true, "ended": ended.is_ok()});
    shell.output.answer(&object, || format!("User {id} is deleted. {}", said(&ended)));
    Ok(())
}

/// Somebody else was quicker.
fn gone() -> Refused {
    Refused("there is no such user".to_owned())
}

/// Applies the revocation now, or says why that has to wait.
pub(super) async fn end(config: &Config, accounts: &Database, revocation: &Revocation) -> Result<(), String> {
    let revocations = Arc::new(accounts.clone());
    let (clock, there) = (Arc::new(SystemClock), revocations.clone());
    // In the file of the database it is where it belongs; a file of its own may be in another folder than this one.
    let tokens = match config.database.file() {
        Some(_) => TokenStore::open(config, clock, there).await,
        None => TokenStore::open_existing(config, clock, there).await,
    };
    let sessions = tokens.map_err(|error| error.to_string())?.sessions();
    Revoker { revocations, sessions }.try_apply(revocation).await.map_err(|error| error.to_string())
}

/// What is true of the sessions.
pub(super) fn said(ended: &Result<(), String>) -> String {
    match ended {
        Ok(()) => "Sessions, codes and resets have ended.".to_owned(),
        Err(why) => format!(
            "Sessions, codes and resets end within a second of a running server's reach, not yet: from here, {why}"
        ),
    }
}
