//! `keys add|list|revoke`: what applications' back ends prove themselves with. A key is shown once, when it is made.

use super::output::table;
use super::{Access, Refused, Shell};
use clap::Subcommand;
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{AppName, KeyRowId, KeyScope, ServerKey, UserId};
use portcullis_actors::stores::{AccountStore, Created, KeyRecord, NewKey};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and show it, this once.
    #[command(
        after_help = "Example:\n  portcullis keys add --app driver --owner 1 --scope tokens:introspect devices:read"
    )]
    Add {
        /// The application it belongs to.
        #[arg(long)]
        app: AppName,
        /// The user it acts as; disabling this user kills it.
        #[arg(long, value_name = "USER_ID")]
        owner: i64,
        /// What it may do: owner:act, tokens:introspect, sessions:revoke, devices:read.
        #[arg(long, required = true, num_args = 1.., value_delimiter = ',')]
        scope: Vec<KeyScope>,
    },
    /// List the keys, dead ones too, without the keys themselves.
    #[command(after_help = "Example:\n  portcullis keys list")]
    List,
    /// Kill a key.
    #[command(after_help = "Example:\n  portcullis keys revoke 7")]
    Revoke {
        /// Its number, as the list shows it.
        id: i64,
    },
}

pub(super) async fn run(shell: &Shell, command: KeysCommand) -> Result<(), Refused> {
    let access = if matches!(command, KeysCommand::List) { Access::Read } else { Access::Change };
    let accounts = shell.database(&shell.config(&["database"])?, access).await?;
    match command {
        KeysCommand::Add { app, owner, scope } => add(shell, &accounts, app, UserId(owner), scope).await?,
        KeysCommand::List => list(shell, &accounts.keys().await?),
        KeysCommand::Revoke { id } => {
            if !accounts.revoke_key(KeyRowId(id)).await? {
                return Err(Refused(format!("there is no key {id}")));
            }
            shell.output.answer(&json!({"id": id, "revoked": true}), || format!("Key {id} is dead."));
        }
    }
    Ok(())
}

async fn add(
    shell: &Shell,
    accounts: &impl AccountStore,
    app: AppName,
    owner: UserId,
    mut scopes: Vec<KeyScope>,
) -> Result<(), Refused> {
    let Some(application) = accounts.application(Some(&app)).await? else {
        return Err(Refused(format!("there is no application {app}")));
    };
    if accounts.user(owner).await?.is_none() {
        return Err(Refused(format!("there is no user {owner}")));
    }
    scopes.sort_by_key(|scope| scope.as_str());
    scopes.dedup();
    let key = ServerKey::new(random_bytes());
    let new = NewKey { digest: key.digest(), app: application.id, owner, scopes };
    let Created::New(id) = accounts.create_key(new).await? else {
        return Err(Refused("this key exists already".to_owned()));
    };
    shell
        .output
        .answer(&json!({"id": id, "key": key.expose()}), || format!("Key {id}, shown this once:\n{}", key.expose()));
    Ok(())
}

fn list(shell: &Shell, keys: &[KeyRecord]) {
    let scopes = |key: &KeyRecord| key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>();
    let objects: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id, "app_id": key.app_name.as_str(), "owner": key.owner, "scopes": scopes(key),
                "created_at": key.created.to_string(), "revoked_at": key.revoked.map(|at| at.to_string()),
            })
        })
        .collect();
    shell.output.answer(&json!({"keys": objects}), || {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                vec![
                    key.id.to_string(),
                    key.app_name.to_string(),
                    key.owner.to_string(),
                    scopes(key).join(","),
                    key.created.to_string(),
                    key.revoked.map(|at| at.to_string()).unwrap_or_default(),
                ]
            })
            .collect();
        table(&["ID", "APP", "OWNER", "SCOPES", "CREATED", "REVOKED"], &rows)
    });
}
