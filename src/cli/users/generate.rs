//! `users generate`: accounts for load tests. They share one password, so only one hash is computed. With `--tokens` each
//! also has a device and a live session, in a file that load generators read.

use super::tokens_file::{Account, TokensFile};
use super::{Context, Database, Failure};
use crate::config::{Config, Profile};
use clap::Args;
use portcullis_actors::domain::{Email, Password, UserId};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::{AccountStore as _, Created, ImportedUser, NewUser};
use serde_json::json;
use std::path::PathBuf;

/// The password of all generated users. It is not secret, because these accounts do not exist in production.
const PASSWORD: &str = "portcullis-load-test";
const BATCH: u64 = 1000;

pub(super) const HELP: &str = r#"Example:
  PORTCULLIS_PROFILE=loadtest portcullis users generate --count 100000 --tokens users.ndjson

Each line of the file is one JSON object: email, password, user_id, token, device_token. Other tools take it so:
  jq -r .token users.ndjson > tokens.txt
  jq -c '{method: "GET", url: "http://127.0.0.1:8080/api/v1/sessions/current",
          header: {Authorization: ["Bearer " + .token]}}' users.ndjson > vegeta.json
  vegeta attack -format=json -targets=vegeta.json -rate=1000 -duration=30s | vegeta report"#;

#[derive(Debug, Args)]
pub(in crate::cli) struct GenerateArguments {
    /// The number of users: load-1@example.invalid to load-N@example.invalid.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
    /// Also register a device and open a session for each user, and write them to this new file, one JSON object per
    /// line.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "tokens")]
    force: bool,
}

impl GenerateArguments {
    /// The sections of the configuration that this uses.
    pub(super) fn sections(&self) -> &'static [&'static str] {
        match self.tokens {
            None => &["database", "hashing"],
            Some(_) => &["database", "hashing", "redis", "secrets", "sessions"],
        }
    }
}

pub(super) async fn run(
    context: &Context,
    config: &Config,
    accounts: &Database,
    arguments: GenerateArguments,
) -> Result<(), Failure> {
    if config.profile == Profile::Production {
        return Err(Failure("users with a public password are not created in production".to_owned()));
    }
    let pool = HashingPool::start(&config.hashing).map_err(Failure::because)?;
    let password: Password = PASSWORD.parse().map_err(Failure::because)?;
    let password_hash = pool.hash(&password).await.map_err(Failure::because)?;
    let mut file = match &arguments.tokens {
        Some(path) => Some(TokensFile::create(path, arguments.force, &context.patient(config), accounts).await?),
        None => None,
    };
    let made = create(context, accounts, arguments.count, &password_hash, file.as_mut()).await;
    let finished = match (file, &made) {
        (Some(file), Ok(_)) => file.finish(),
        (Some(file), Err(_)) => {
            file.discard();
            Ok(())
        }
        (None, _) => Ok(()),
    };
    let made = made.and_then(|made| finished.map(|()| made))?;
    let there = arguments.count - made;
    let mut object = json!({"made": made, "already_there": there, "password": PASSWORD});
    let mut text = format!("{made} users created, {there} existed already. Their password is {PASSWORD}");
    if let Some(path) = &arguments.tokens {
        object["tokens"] = arguments.count.into();
        text += &format!("\n{} users with a token are in {}", arguments.count, path.display());
    }
    context.output.answer(&object, || text);
    Ok(())
}

/// Creates the users in lots. Returns how many did not exist.
async fn create(
    context: &Context,
    accounts: &Database,
    count: u64,
    password_hash: &str,
    mut file: Option<&mut TokensFile>,
) -> Result<u64, Failure> {
    let bar = context.output.progress(count, "{bar:40} {pos}/{len} users, {eta} left");
    let mut made = 0_u64;
    for first in (1..=count).step_by(BATCH as usize) {
        let last = count.min(first + BATCH - 1);
        let rows = (first..=last).map(|number| row(number, password_hash)).collect::<Result<_, _>>()?;
        let outcomes = accounts.import_users(rows).await?;
        made += outcomes.iter().filter(|outcome| matches!(outcome, Created::New(_))).count() as u64;
        if let Some(file) = &mut file {
            let lot = (first..=last).zip(outcomes).map(|(number, created)| account(number, created));
            file.add(accounts, &lot.collect::<Result<Vec<_>, _>>()?, PASSWORD).await?;
        }
        bar.set_position(last);
    }
    bar.finish_and_clear();
    Ok(made)
}

fn email(number: u64) -> Result<Email, Failure> {
    format!("load-{number}@example.invalid").parse().map_err(Failure::because)
}

fn account(number: u64, created: Created<UserId>) -> Result<Account, Failure> {
    Ok(Account { email: email(number)?, device_token: format!("load-{number}"), created })
}

fn row(number: u64, password_hash: &str) -> Result<ImportedUser, Failure> {
    let user = NewUser {
        email: email(number)?,
        first_name: "Load".parse().map_err(Failure::because)?,
        last_name: number.to_string().parse().map_err(Failure::because)?,
        password_hash: password_hash.to_owned(),
        admin: false,
        locale: None,
    };
    Ok(user.into())
}
