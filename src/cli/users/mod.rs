//! `users add|list|show|disable|enable`; `import` and `generate` are in files of their own.

mod generate;
mod import;

use super::output::table;
use super::passwords::new_password;
use super::{Access, Refused, Shell};
use crate::app::{self, Database};
use crate::config::Config;
use clap::{Args, Subcommand};
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::{SystemClock, SystemRandomness};
use portcullis_actors::domain::{Email, PersonName, UserId};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::{AccountStore as _, Created, NewUser, User};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Add a user.
    #[command(
        after_help = "Example:\n  portcullis users add --email ada@example.com --first-name Ada --last-name Example"
    )]
    Add(NewUserArguments),
    /// Bring in users from elsewhere, one JSON object a line, with the hashes of their passwords.
    #[command(after_help = import::HELP)]
    Import(import::ImportArguments),
    /// List users.
    #[command(after_help = "Example:\n  portcullis users list --after 1000 --most 50")]
    List {
        /// Begin after this number.
        #[arg(long, default_value_t = 0, value_name = "USER_ID")]
        after: i64,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        most: u32,
    },
    /// Show one user.
    #[command(after_help = "Example:\n  portcullis users show ada@example.com")]
    Show {
        /// Number or e-mail address.
        user: String,
    },
    /// Disable a user: sessions, keys, codes and resets end at once.
    #[command(after_help = "Example:\n  portcullis users disable 42")]
    Disable {
        /// Number or e-mail address.
        user: String,
    },
    /// Let a disabled user sign in again.
    #[command(after_help = "Example:\n  portcullis users enable 42")]
    Enable {
        /// Number or e-mail address.
        user: String,
    },
    /// Make users load-1@example.invalid, load-2@… for load tests (not in production).
    #[command(after_help = "Example:\n  PORTCULLIS_PROFILE=loadtest portcullis users generate --count 100000")]
    Generate(generate::GenerateArguments),
}

#[derive(Debug, Args)]
pub(super) struct NewUserArguments {
    /// What the user signs in with.
    #[arg(long)]
    email: Email,
    /// First name.
    #[arg(long)]
    first_name: PersonName,
    /// Last name.
    #[arg(long)]
    last_name: PersonName,
    /// May use what is for administrators.
    #[arg(long)]
    admin: bool,
    /// Read the password from the first line of standard input, not from a prompt.
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(shell: &Shell, command: UsersCommand) -> Result<(), Refused> {
    let (access, used): (_, &[&str]) = match &command {
        UsersCommand::Add(_) => (Access::Make, &["database", "passwords", "hashing"]),
        UsersCommand::Import(_) => (Access::Make, &["database", "phone_codes"]),
        UsersCommand::Generate(_) => (Access::Make, &["database", "hashing"]),
        UsersCommand::List { .. } => (Access::Read, &["database"]),
        UsersCommand::Show { .. } => (Access::Read, &["database", "redis"]),
        UsersCommand::Enable { .. } => (Access::Change, &["database"]),
        UsersCommand::Disable { .. } => (Access::Change, &["database", "redis"]),
    };
    let config = shell.config(used)?;
    let accounts = shell.database(&config, access).await?;
    match command {
        UsersCommand::Add(arguments) => add(shell, &config, &accounts, arguments).await,
        UsersCommand::Import(arguments) => import::run(shell, &config, &accounts, arguments).await,
        UsersCommand::Generate(arguments) => generate::run(shell, &config, &accounts, arguments).await,
        UsersCommand::List { after, most } => {
            let users = accounts.users(UserId(after), most).await?;
            list(shell, &users);
            Ok(())
        }
        UsersCommand::Show { user } => {
            let user = find(&accounts, &user).await?;
            shell.output.answer(&object(&user), || lines(&user));
            Ok(())
        }
        UsersCommand::Disable { user } => disable(shell, &config, &accounts, &user).await,
        UsersCommand::Enable { user } => {
            let id = find(&accounts, &user).await?.id;
            accounts.enable_user(id).await?;
            shell.output.answer(&json!({"id": id, "disabled": false}), || format!("User {id} may sign in again."));
            Ok(())
        }
    }
}

async fn add(shell: &Shell, config: &Config, accounts: &Database, arguments: NewUserArguments) -> Result<(), Refused> {
    let NewUserArguments { email, first_name, last_name, admin, password_stdin } = arguments;
    if accounts.user_by_email(&email).await?.is_some() {
        return Err(Refused("there is a user with this address already".to_owned()));
    }
    let password = new_password(password_stdin)?;
    config.passwords.accept(&password, &email).map_err(Refused::because)?;
    let pool = HashingPool::start(&config.hashing, Arc::new(SystemRandomness)).map_err(Refused::because)?;
    let password_hash = pool.hash(&password).await.map_err(Refused::because)?;
    match accounts.create_user(NewUser { email, first_name, last_name, password_hash, admin }).await? {
        Created::Duplicate => Err(Refused("there is a user with this address already".to_owned())),
        Created::New(id) => {
            shell.output.answer(&json!({"id": id}), || format!("User {id} can sign in."));
            Ok(())
        }
    }
}

async fn disable(shell: &Shell, config: &Config, accounts: &Database, user: &str) -> Result<(), Refused> {
    let id = find(accounts, user).await?.id;
    let Some(revocation) = accounts.disable_user(id).await? else {
        return Err(Refused(format!("there is no user {id}")));
    };
    let revocations = Arc::new(accounts.clone());
    // If the token store is out of reach from here, the server applies what is pending within a second.
    match app::TokenStore::open(config, Arc::new(SystemClock), revocations.clone()).await {
        Ok(tokens) => Revoker { revocations, sessions: tokens.sessions() }.apply(&revocation).await,
        Err(error) => eprintln!("portcullis: the sessions end when a server next runs: {error}"),
    }
    shell.output.answer(&json!({"id": id, "disabled": true}), || {
        format!("User {id} is disabled; sessions, keys, codes and resets have ended.")
    });
    Ok(())
}

/// By number or by address.
async fn find(accounts: &Database, text: &str) -> Result<User, Refused> {
    let found = if let Ok(id) = text.parse() {
        accounts.user(UserId(id)).await?
    } else {
        let email = text.parse().map_err(|_| Refused("this is neither a number nor an e-mail address".to_owned()))?;
        accounts.user_by_email(&email).await?
    };
    found.ok_or_else(|| Refused("there is no such user".to_owned()))
}

fn object(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email.as_str(),
        "first_name": user.first_name.as_str(),
        "last_name": user.last_name.as_str(),
        "admin": user.admin,
        "disabled": user.disabled.is_some(),
        "disabled_at": user.disabled.map(|at| at.to_string()),
        "phone": user.phone.as_ref().map(|phone| phone.as_str()),
        "locale": user.locale.map(|locale| locale.as_str()),
        "wrong_passwords": user.failures,
        "created_at": user.created.to_string(),
    })
}

fn lines(user: &User) -> String {
    let line = |name: &str, value: &str| format!("{name:<16}{value}\n");
    let mut text = line("ID", &user.id.to_string());
    text += &line("E-mail", user.email.as_str());
    text += &line("Name", &format!("{} {}", user.first_name.as_str(), user.last_name.as_str()));
    text += &line("Administrator", if user.admin { "yes" } else { "no" });
    text += &line("Disabled", &user.disabled.map_or("no".to_owned(), |at| format!("since {at}")));
    text += &line("Phone", user.phone.as_ref().map_or("not verified", |phone| phone.as_str()));
    text += &line("Language", user.locale.map_or("not known", |locale| locale.as_str()));
    text += &line("Wrong passwords", &format!("{} in a row", user.failures));
    text += &line("Created", &user.created.to_string());
    text.trim_end().to_owned()
}

fn list(shell: &Shell, users: &[User]) {
    let objects: Vec<_> = users.iter().map(object).collect();
    shell.output.answer(&json!({"users": objects}), || {
        let rows: Vec<_> = users
            .iter()
            .map(|user| {
                let state = match (user.disabled.is_some(), user.admin) {
                    (true, _) => "disabled",
                    (false, true) => "administrator",
                    (false, false) => "",
                };
                vec![
                    user.id.to_string(),
                    user.email.as_str().to_owned(),
                    format!("{} {}", user.first_name.as_str(), user.last_name.as_str()),
                    user.created.to_string(),
                    state.to_owned(),
                ]
            })
            .collect();
        table(&["ID", "E-MAIL", "NAME", "CREATED", ""], &rows)
    });
}
