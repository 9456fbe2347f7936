//! `users add|list|enable|set-admin`. The other sub-commands have their own files.

mod generate;
mod import;
mod password_prompt;
mod revoke;
mod set_password;
mod show;
mod tokens_file;

use super::{Access, Context, Failure};
use crate::app::Database;
use crate::config::Config;
use clap::{Args, Subcommand};
use password_prompt::new_password;
use portcullis_actors::domain::{Email, PersonName, UserId};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::stores::{
    AccountStore as _, AdministrationStore as _, ChangedBy, Created, NewUser, Unchanged, User, UserChange, UserSearch,
};
use revoke::Change;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Add a user.
    #[command(
        after_help = "Example:\n  portcullis users add --email ada@example.com --first-name Ada --last-name Example"
    )]
    Add(NewUserArguments),
    /// Import users with their password hashes, one JSON object per line.
    #[command(after_help = import::HELP)]
    Import(import::ImportArguments),
    /// List users.
    #[command(after_help = "Example:\n  portcullis users list --after 1000 --most 50")]
    List {
        /// Begin after this ID.
        #[arg(long, default_value_t = 0, value_name = "USER_ID")]
        after: i64,
        /// The largest number of users.
        #[arg(long, default_value_t = 100)]
        most: u32,
    },
    /// Find users by the beginning of their address, or by their phone number.
    #[command(after_help = "Example:\n  portcullis users search ada@\n  portcullis users search +12125550123")]
    Search {
        /// The beginning of an e-mail address, or a whole phone number; a national one is of the default region.
        text: String,
        /// Begin after this address.
        #[arg(long, value_name = "EMAIL")]
        after: Option<Email>,
        /// The largest number of users.
        #[arg(long, default_value_t = 100)]
        most: u32,
    },
    /// Make a user an administrator, or no longer one. The last administrator stays one.
    #[command(
        after_help = "Example:\n  portcullis users set-admin ada@example.com\n  portcullis users set-admin 42 --off"
    )]
    SetAdmin {
        #[command(flatten)]
        user: UserArgument,
        /// Remove as administrator.
        #[arg(long)]
        off: bool,
    },
    /// Show one user with sessions and devices.
    #[command(after_help = "Example:\n  portcullis users show ada@example.com")]
    Show(UserArgument),
    /// Disable a user: sessions, keys, codes and resets end immediately.
    #[command(after_help = "Example:\n  portcullis users disable 42")]
    Disable(UserArgument),
    /// Sign a user out everywhere: sessions, codes and resets end immediately.
    #[command(after_help = "Example:\n  portcullis users sign-out 42")]
    SignOut(UserArgument),
    /// Set a user's password. Sessions end, and the user gets a notice.
    #[command(after_help = "Example:\n  portcullis users set-password ada@example.com --password-stdin < password.txt")]
    SetPassword {
        #[command(flatten)]
        user: UserArgument,
        /// Read the password from the first line of standard input instead of a prompt.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Delete a user with all sessions, devices, keys and messages. No personal data is kept.
    #[command(after_help = "Example:\n  portcullis users delete ada@example.com")]
    Delete(UserArgument),
    /// Let a disabled user sign in again.
    #[command(after_help = "Example:\n  portcullis users enable 42")]
    Enable(UserArgument),
    /// Create users load-1@example.invalid, load-2@… for load tests (not in production).
    #[command(after_help = generate::HELP)]
    Generate(generate::GenerateArguments),
}

#[derive(Debug, Args)]
pub(super) struct UserArgument {
    /// ID or e-mail address.
    user: String,
}

#[derive(Debug, Args)]
pub(super) struct NewUserArguments {
    /// The address for signing in.
    #[arg(long)]
    email: Email,
    /// First name.
    #[arg(long)]
    first_name: PersonName,
    /// Last name.
    #[arg(long)]
    last_name: PersonName,
    /// Make the user an administrator.
    #[arg(long)]
    admin: bool,
    /// Read the password from the first line of standard input instead of a prompt.
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(context: &Context, command: UsersCommand) -> Result<(), Failure> {
    let (access, used): (_, &[&str]) = match &command {
        UsersCommand::Add(_) => (Access::Create, &["database", "passwords", "hashing"]),
        UsersCommand::Import(_) => (Access::Create, &["database", "phone_codes"]),
        UsersCommand::Generate(arguments) => (Access::Create, arguments.sections()),
        UsersCommand::List { .. } => (Access::Read, &["database"]),
        UsersCommand::Search { .. } => (Access::Read, &["database", "phone_codes"]),
        UsersCommand::Show(_) => (Access::Read, &["database", "redis", "sessions"]),
        UsersCommand::Enable(_) | UsersCommand::SetAdmin { .. } => (Access::Change, &["database"]),
        UsersCommand::Disable(_) | UsersCommand::SignOut(_) | UsersCommand::Delete(_) => {
            (Access::Change, &["database", "redis"])
        }
        UsersCommand::SetPassword { .. } => (Access::Change, &["database", "redis", "passwords", "hashing"]),
    };
    let config = &context.config(used)?;
    let accounts = &context.database(config, access).await?;
    let revoke = async |user: UserArgument, change| revoke::run(context, config, accounts, &user.user, change).await;
    match command {
        UsersCommand::Add(arguments) => add(context, config, accounts, arguments).await,
        UsersCommand::Import(arguments) => import::run(context, config, accounts, arguments).await,
        UsersCommand::Generate(arguments) => generate::run(context, config, accounts, arguments).await,
        UsersCommand::List { after, most } => {
            list(context, &accounts.users(UserId(after), most).await?);
            Ok(())
        }
        UsersCommand::Search { text, after, most } => {
            let region = &config.phone_codes.default_region;
            let search = UserSearch::typed(&text, region, after).map_err(Failure::because)?;
            list(context, &accounts.search_users(&search, most).await?);
            Ok(())
        }
        UsersCommand::SetAdmin { user: UserArgument { user }, off } => {
            let id = find(accounts, &user).await?.id;
            let change = UserChange { admin: Some(!off), ..UserChange::default() };
            match accounts.change_user(id, &change, ChangedBy::Trusted).await? {
                Ok(_) => {}
                Err(Unchanged::LastAdministrator) => {
                    return Err(Failure("there would be no administrator left".to_owned()));
                }
                Err(_) => return Err(Failure("there is no such user".to_owned())),
            }
            context.output.answer(&json!({"id": id, "admin": !off}), || match off {
                true => format!("User {id} is no administrator any more."),
                false => format!("User {id} is an administrator."),
            });
            Ok(())
        }
        UsersCommand::Show(UserArgument { user }) => show::run(context, config, accounts, &user).await,
        UsersCommand::Disable(user) => revoke(user, Change::Disable).await,
        UsersCommand::SignOut(user) => revoke(user, Change::SignOut).await,
        UsersCommand::Delete(user) => revoke(user, Change::Delete).await,
        UsersCommand::SetPassword { user: UserArgument { user }, password_stdin } => {
            set_password::run(context, config, accounts, &user, password_stdin).await
        }
        UsersCommand::Enable(UserArgument { user }) => {
            let id = find(accounts, &user).await?.id;
            accounts.enable_user(id).await?;
            context.output.answer(&json!({"id": id, "disabled": false}), || format!("User {id} can sign in again."));
            Ok(())
        }
    }
}

async fn add(
    context: &Context,
    config: &Config,
    accounts: &Database,
    arguments: NewUserArguments,
) -> Result<(), Failure> {
    let NewUserArguments { email, first_name, last_name, admin, password_stdin } = arguments;
    if accounts.user_by_email(&email).await?.is_some() {
        return Err(Failure("a user with this address exists already".to_owned()));
    }
    let password = new_password(password_stdin)?;
    config.passwords.accept(&password, &email).map_err(Failure::because)?;
    let pool = HashingPool::start(&config.hashing).map_err(Failure::because)?;
    let password_hash = pool.hash(&password).await.map_err(Failure::because)?;
    match accounts.create_user(NewUser { email, first_name, last_name, password_hash, admin, locale: None }).await? {
        Created::Duplicate => Err(Failure("a user with this address exists already".to_owned())),
        Created::New(id) => {
            context.output.answer(&json!({"id": id}), || format!("User {id} can sign in."));
            Ok(())
        }
    }
}

/// Finds a user by ID or e-mail address.
async fn find(accounts: &Database, text: &str) -> Result<User, Failure> {
    let found = if let Ok(id) = text.parse() {
        accounts.user(UserId(id)).await?
    } else {
        let email = text.parse().map_err(|_| Failure("this is neither an ID nor an e-mail address".to_owned()))?;
        accounts.user_by_email(&email).await?
    };
    found.ok_or_else(|| Failure("there is no such user".to_owned()))
}

fn list(context: &Context, users: &[User]) {
    context.output.list("users", users, show::object, &["ID", "E-MAIL", "NAME", "CREATED", ""], |user| {
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
    });
}
