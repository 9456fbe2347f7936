//! `apps add|list|default`: the applications that users sign in to.

use super::{Access, Context, Failure};
use clap::Subcommand;
use portcullis_actors::domain::{AppName, Colour, OpenUrl, is_brand};
use portcullis_actors::stores::{
    AccountStore as _, AdministrationStore as _, Application, ApplicationChange, Created, NewApplication,
};
use portcullis_actors::transports::{is_mail_sender, is_sms_sender};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum AppsCommand {
    /// Add an application. The first one is the default, for sign-ins that name no application.
    #[command(after_help = "Example:\n  portcullis apps add driver --brand \"Fleet Driver\"")]
    Add {
        /// Its name, the app_id of clients: 1 to 64 of a-z, 0-9, dot, underscore, dash.
        name: AppName,
        /// The name in its messages. Default: NAME.
        #[arg(long, value_parser = brand)]
        brand: Option<String>,
        /// The sender of its mails. Default: mail.from.
        #[arg(long, value_name = "ADDRESS", value_parser = mail_sender)]
        mail_from: Option<String>,
        /// The sender of its SMS with the first provider. Default: sms.from.
        #[arg(long, value_name = "NUMBER", value_parser = sms_sender)]
        sms_from: Option<String>,
        /// The colour of its pages and mails: six hexadecimal digits.
        #[arg(long, value_name = "COLOUR")]
        colour: Option<Colour>,
        /// Opens the application: an https URL, or one with the application's own scheme.
        #[arg(long, value_name = "URL")]
        open_url: Option<OpenUrl>,
    },
    /// Change how an application looks and who its messages are from. What is not named stays; an empty text is the default.
    #[command(after_help = "Example:\n  portcullis apps change driver --colour 1f5fd6 --mail-from \"\"")]
    Change {
        /// The name that clients send as `app_id`.
        name: AppName,
        /// The name in mails, SMS and on pages.
        #[arg(long, value_parser = brand)]
        brand: Option<String>,
        /// The sender of its mails.
        #[arg(long, value_name = "ADDRESS", value_parser = or_default(mail_sender))]
        mail_from: Option<Changed<String>>,
        /// The sender of its SMS.
        #[arg(long, value_name = "NUMBER", value_parser = or_default(sms_sender))]
        sms_from: Option<Changed<String>>,
        /// The colour of its pages and mails: six hexadecimal digits.
        #[arg(long, value_name = "COLOUR", value_parser = or_default(str::parse::<Colour>))]
        colour: Option<Changed<Colour>>,
        /// Opens the application: an https URL, or one with the application's own scheme.
        #[arg(long, value_name = "URL", value_parser = or_default(str::parse::<OpenUrl>))]
        open_url: Option<Changed<OpenUrl>>,
    },
    /// List the applications.
    #[command(after_help = "Example:\n  portcullis apps list --json")]
    List,
    /// Choose the default application, for sign-ins that name no application.
    #[command(after_help = "Example:\n  portcullis apps default driver")]
    Default {
        /// Its name.
        name: AppName,
    },
}

/// A value that replaces another one; `None`: by the default.
#[derive(Debug, Clone)]
pub(super) struct Changed<T>(Option<T>);

/// Parses an empty text as the default.
fn or_default<T, E>(parse: impl Fn(&str) -> Result<T, E> + Clone) -> impl Fn(&str) -> Result<Changed<T>, E> + Clone {
    move |text| if text.is_empty() { Ok(Changed(None)) } else { parse(text).map(|value| Changed(Some(value))) }
}

pub(super) async fn run(context: &Context, command: AppsCommand) -> Result<(), Failure> {
    let access = match command {
        AppsCommand::Add { .. } => Access::Create,
        AppsCommand::List => Access::Read,
        AppsCommand::Default { .. } | AppsCommand::Change { .. } => Access::Change,
    };
    let accounts = context.database(&context.config(&["database"])?, access).await?;
    match command {
        AppsCommand::Add { name, brand, mail_from, sms_from, colour, open_url } => {
            let brand = brand.unwrap_or_else(|| name.to_string());
            match accounts
                .create_application(NewApplication { name: name.clone(), brand, mail_from, sms_from, colour, open_url })
                .await?
            {
                Created::Duplicate => return Err(Failure(format!("the application {name} exists already"))),
                Created::New(id) => context.output.answer(&json!({"id": id, "app_id": name.as_str()}), || {
                    format!("Application {name} is number {id}.")
                }),
            }
        }
        AppsCommand::Change { name, brand, mail_from, sms_from, colour, open_url } => {
            let app = accounts.application(Some(&name)).await?;
            let app = app.ok_or_else(|| Failure(format!("there is no application {name}")))?;
            let change = ApplicationChange {
                brand: brand.unwrap_or(app.brand),
                mail_from: mail_from.map_or(app.mail_from, |Changed(value)| value),
                sms_from: sms_from.map_or(app.sms_from, |Changed(value)| value),
                colour: colour.map_or(app.colour, |Changed(value)| value),
                open_url: open_url.map_or(app.open_url, |Changed(value)| value),
            };
            accounts.change_application(app.id, &change).await?;
            context.output.answer(&json!({"id": app.id, "app_id": name.as_str()}), || {
                format!("The application {name} is changed. Servers know within a second.")
            });
        }
        AppsCommand::List => {
            let apps = accounts.applications().await?;
            let object = |app: &Application| {
                json!({
                    "id": app.id, "app_id": app.name.as_str(), "brand": app.brand, "mail_from": app.mail_from,
                    "sms_from": app.sms_from, "colour": app.colour.as_ref().map(Colour::as_str),
                    "open_url": app.open_url.as_ref().map(OpenUrl::as_str), "default": app.is_default, "created_at": app.created.to_string(),
                })
            };
            context.output.list("apps", &apps, object, &["ID", "APP", "BRAND", "CREATED", ""], |app| {
                vec![
                    app.id.to_string(),
                    app.name.to_string(),
                    app.brand.clone(),
                    app.created.to_string(),
                    if app.is_default { "default" } else { "" }.to_owned(),
                ]
            });
        }
        AppsCommand::Default { name } => {
            if !accounts.set_default_application(&name).await? {
                return Err(Failure(format!("there is no application {name}")));
            }
            context.output.answer(&json!({"app_id": name.as_str(), "default": true}), || {
                format!("{name} is the default application.")
            });
        }
    }
    Ok(())
}

fn mail_sender(text: &str) -> Result<String, &'static str> {
    if is_mail_sender(text) { Ok(text.to_owned()) } else { Err("must be name@example.com or Name <name@example.com>") }
}

fn sms_sender(text: &str) -> Result<String, &'static str> {
    let fault = "must be a number in E.164, a name of at most 11 letters and digits, or a messaging service (MG…)";
    if is_sms_sender(text) { Ok(text.to_owned()) } else { Err(fault) }
}

fn brand(text: &str) -> Result<String, &'static str> {
    if is_brand(text) { Ok(text.to_owned()) } else { Err("must be 1 to 64 characters on one line") }
}
