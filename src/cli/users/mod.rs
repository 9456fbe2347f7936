//! `users add|list|enable`; the other commands are in files of their own.

mod ending;
mod generate;
mod import;
mod password;
mod show;

use super::output::table;
use super::passwords::new_password;
use super::{Access, Refused, Shell};
use crate::app::Database;
use crate::config::Config;
use clap::{Args, Subcommand};
use portcullis_actors::domain::{Email, PersonName, UserId};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::{AccountStore as _, Created, NewUser, User};
use serde_json::json;

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
    /// Show one user, with sessions and devices.
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
    /// Sign a user out everywhere: sessions, codes and resets end at once.
    #[command(after_help = "Example:\n  portcullis users sign-out 42")]
    SignOut {
        /// Number or e-mail address.
        user: String,
    },
    /// Set a user's password: sessions end, and the user gets the notice of a change.
    #[command(after_help = "Example:\n  portcullis users set-password ada@example.com --password-stdin < password.txt")]
    SetPassword {
        /// Number or e-mail address.
        user: String,
        /// Read the password from the first line of standard input, not from a prompt.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Delete a user for good, with sessions, devices, keys and messages. Nothing about the person is kept.
    #[command(after_help = "Example:\n  portcullis users delete ada@example.com")]
    Delete {
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
        UsersCommand::Show { .. } => (Access::Read, &["database", "redis", "sessions"]),
        UsersCommand::Enable { .. } => (Access::Change, &["database"]),
        UsersCommand::Disable { .. } | UsersCommand::SignOut { .. } | UsersCommand::Delete { .. } => {
            (Access::Change, &["database", "redis"])
        }
        UsersCommand::SetPassword { .. } => (Access::Change, &["database", "redis", "passwords", "hashing"]),
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
        UsersCommand::Show { user } => show::run(shell, &config, &accounts, &user).await,
        UsersCommand::Disable { user } => ending::disable(shell, &config, &accounts, &user).await,
        UsersCommand::SignOut { user } => ending::sign_out(shell, &config, &accounts, &user).await,
        UsersCommand::Delete { user } => ending::delete(shell, &config, &accounts, &user).await,
        UsersCommand::SetPassword { user, password_stdin } => {
            password::set(shell, &config, &accounts, &user, password_stdin).await
        }
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
    let pool = HashingPool::start(&config.hashing).map_err(Refused::because)?;
    let password_hash = pool.hash(&password).await.map_err(Refused::because)?;
    match accounts.create_user(NewUser { email, first_name, last_name, password_hash, admin }).await? {
        Created::Duplicate => Err(Refused("there is a user with this address already".to_owned())),
        Created::New(id) => {
            shell.output.answer(&json!({"id": id}), || format!("User {id} can sign in."));
            Ok(())
        }
    }
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

fn list(shell: &Shell, users: &[User]) {
    let objects: Vec<_> = users.iter().map(show::object).collect();
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
