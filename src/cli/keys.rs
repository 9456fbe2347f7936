//! `keys add|rotate|list|revoke`: the server keys of applications' back ends. A key is shown only when it is created.

use super::{Access, Context, Failure};
use clap::Subcommand;
use portcullis_actors::clock::{Clock as _, SystemClock, Timestamp};
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{AppName, KeyRowId, KeyScope, ServerKey, UserId};
use portcullis_actors::stores::{AccountStore, Created, KeyIssue, KeyRecord, KeyStore, KeyTerms, NewKey};
use serde_json::json;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Create a key and show it. It is not shown again.
    #[command(
        after_help = "Example:\n  portcullis keys add --app driver --owner 1 --scope tokens:introspect devices:read"
    )]
    Add {
        /// The application it belongs to.
        #[arg(long)]
        app: AppName,
        /// The user that it acts as. Disabling this user revokes it.
        #[arg(long, value_name = "USER_ID")]
        owner: i64,
        /// What it is permitted to do: owner:act, tokens:introspect, sessions:revoke, devices:read,
        /// users:read, users:write.
        #[arg(long, required = true, num_args = 1.., value_delimiter = ',')]
        scope: Vec<KeyScope>,
        /// What it is for, for people; at most 64 characters.
        #[arg(long, default_value = "", value_parser = key_name)]
        name: String,
        /// Days until it expires. Without this it is valid until it is revoked.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_days: Option<u32>,
    },
    /// Replace a key by a new one for the same use, and show it. The old one stays valid for a while.
    #[command(after_help = "Example:\n  portcullis keys rotate 7 --overlap-days 14")]
    Rotate {
        /// The ID that the list shows.
        #[arg(value_parser = key_id)]
        id: i64,
        /// Days that the old key stays valid; 0 ends it at once.
        #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=365))]
        overlap_days: u32,
    },
    /// List the keys, including revoked ones, without their secrets.
    #[command(after_help = "Example:\n  portcullis keys list")]
    List,
    /// Revoke a key.
    #[command(after_help = "Example:\n  portcullis keys revoke 7")]
    Revoke {
        /// The ID that the list shows.
        #[arg(value_parser = key_id)]
        id: i64,
    },
}

pub(super) async fn run(context: &Context, command: KeysCommand) -> Result<(), Failure> {
    let access = if matches!(command, KeysCommand::List) { Access::Read } else { Access::Change };
    let accounts = context.database(&context.config(&["database"])?, access).await?;
    match command {
        KeysCommand::Add { app, owner, scope, name, expires_days } => {
            let expires = expires_days.map(in_days);
            add(context, &accounts, app, UserId(owner), scope, name, expires).await?;
        }
        KeysCommand::Rotate { id, overlap_days } => {
            rotate(context, &accounts, KeyRowId(id), in_days(overlap_days)).await?;
        }
        KeysCommand::List => list(context, &accounts.keys().await?),
        KeysCommand::Revoke { id } => {
            if !accounts.revoke_key(KeyRowId(id)).await? {
                return Err(Failure(format!("there is no key {id}")));
            }
            context.output.answer(&json!({"id": id, "revoked": true}), || format!("Key {id} is revoked."));
        }
    }
    Ok(())
}

async fn add(
    context: &Context,
    accounts: &impl AccountStore,
    app: AppName,
    owner: UserId,
    mut scopes: Vec<KeyScope>,
    name: String,
    expires: Option<Timestamp>,
) -> Result<(), Failure> {
    let Some(application) = accounts.application(Some(&app)).await? else {
        return Err(Failure(format!("there is no application {app}")));
    };
    if accounts.user(owner).await?.is_none() {
        return Err(Failure(format!("there is no user {owner}")));
    }
    scopes.sort_by_key(|scope| scope.as_str());
    scopes.dedup();
    let key = ServerKey::new(random_bytes());
    let new = NewKey { digest: key.digest(), app: application.id, owner, scopes, name, expires };
    let Created::New(id) = accounts.create_key(new).await? else {
        return Err(Failure("this key exists already".to_owned()));
    };
    show(context, id, &key);
    Ok(())
}

async fn rotate(
    context: &Context,
    accounts: &(impl AccountStore + KeyStore),
    id: KeyRowId,
    until: Timestamp,
) -> Result<(), Failure> {
    let Some(old) = accounts.key(id).await? else { return Err(Failure(format!("there is no key {id}"))) };
    let Some(owner) = accounts.user(old.owner).await? else {
        return Err(Failure(format!("there is no user {}", old.owner)));
    };
    let key = ServerKey::new(random_bytes());
    let new = old.successor(key.digest(), SystemClock.now());
    let terms = KeyTerms { epoch: owner.epoch, maker: None, most: u32::MAX };
    match accounts.rotate_key(id, until, new, terms).await? {
        KeyIssue::Made(id) => show(context, id, &key),
        KeyIssue::Obsolete => return Err(Failure(format!("key {id} is not live, or was replaced already"))),
        KeyIssue::TooMany | KeyIssue::Stale => return Err(Failure("the owner has changed; try again".to_owned())),
    }
    Ok(())
}

fn in_days(days: u32) -> Timestamp {
    SystemClock.now().plus(Duration::from_secs(u64::from(days) * 86_400))
}

fn show(context: &Context, id: KeyRowId, key: &ServerKey) {
    let text = || format!("Key {id}, which is not shown again:\n{}", key.expose());
    context.output.answer(&json!({"id": id, "key": key.expose()}), text);
}

fn list(context: &Context, keys: &[KeyRecord]) {
    let scopes = |key: &KeyRecord| key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>();
    let object = |key: &KeyRecord| {
        json!({
            "id": key.id, "app_id": key.app_name.as_str(), "owner": key.owner, "scopes": scopes(key), "name": key.name,
            "created_at": key.created.to_string(), "last_used_at": key.last_used.map(|at| at.to_string()),
            "expires_at": key.expires.map(|at| at.to_string()), "replaced_at": key.replaced.map(|at| at.to_string()),
            "revoked_at": key.revoked.map(|at| at.to_string()),
        })
    };
    context.output.list(
        "keys",
        keys,
        object,
        &["ID", "APP", "OWNER", "SCOPES", "NAME", "LAST USED", "EXPIRES", "REVOKED"],
        |key| {
            vec![
                key.id.to_string(),
                key.app_name.to_string(),
                key.owner.to_string(),
                scopes(key).join(","),
                key.name.clone(),
                key.last_used.map(|at| at.to_string()).unwrap_or_default(),
                key.expires.map(|at| at.to_string()).unwrap_or_default(),
                key.revoked.map(|at| at.to_string()).unwrap_or_default(),
            ]
        },
    );
}

fn key_id(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "must be the number that `keys list` shows")
}

fn key_name(text: &str) -> Result<String, &'static str> {
    match text.chars().count() {
        0..=64 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err("must be at most 64 characters on one line"),
    }
}
