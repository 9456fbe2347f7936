//! `users generate`: accounts for load tests. They share one password, so only one hash is computed.

use super::{Context, Database, Failure};
use crate::config::{Config, Profile};
use clap::Args;
use portcullis_actors::domain::Password;
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::{AccountStore as _, Created, ImportedUser, NewUser};
use serde_json::json;

/// The password of all generated users. It is not secret, because these accounts do not exist in production.
const PASSWORD: &str = "portcullis-load-test";
const BATCH: u64 = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct GenerateArguments {
    /// The number of users: load-1@example.invalid to load-N@example.invalid.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
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
    let bar = context.output.progress(arguments.count, "{bar:40} {pos}/{len} users, {eta} left");
    let mut made = 0_u64;
    for first in (1..=arguments.count).step_by(BATCH as usize) {
        let last = arguments.count.min(first + BATCH - 1);
        let rows = (first..=last).map(|number| row(number, &password_hash)).collect::<Result<_, _>>()?;
        let outcomes = accounts.import_users(rows).await?;
        made += outcomes.iter().filter(|outcome| matches!(outcome, Created::New(_))).count() as u64;
        bar.set_position(last);
    }
    bar.finish_and_clear();
    let there = arguments.count - made;
    context.output.answer(&json!({"made": made, "already_there": there, "password": PASSWORD}), || {
        format!("{made} users created, {there} existed already. Their password is {PASSWORD}")
    });
    Ok(())
}

fn row(number: u64, password_hash: &str) -> Result<ImportedUser, Failure> {
    let user = NewUser {
        email: format!("load-{number}@example.invalid").parse().map_err(Failure::because)?,
        first_name: "Load".parse().map_err(Failure::because)?,
        last_name: number.to_string().parse().map_err(Failure::because)?,
        password_hash: password_hash.to_owned(),
        admin: false,
    };
    Ok(user.into())
}
