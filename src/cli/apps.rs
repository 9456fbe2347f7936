//! `apps add|set|list|default`: the applications that users sign in to.

use super::{Access, Context, Failure};
use clap::{ArgGroup, Subcommand};
use portcullis_actors::domain::{AppName, Colour, OpenUrl, is_brand};
use portcullis_actors::stores::{AccountStore as _, Application, ApplicationChange, Created, NewApplication};
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
    /// Change how an application presents itself. What is not given stays. An empty text removes a value.
    #[command(
        after_help = "Example:\n  portcullis apps set driver --brand \"Fleet Driver\" --colour 0f766e",
        group = ArgGroup::new("change").args(["brand", "mail_from", "sms_from", "colour", "open_url"]).required(true).multiple(true)
    )]
    Set {
        /// Its name.
        name: AppName,
        /// The name in its messages and on its pages.
        #[arg(long, value_parser = brand)]
        brand: Option<String>,
        /// The sender of its mails.
        #[arg(long, value_name = "ADDRESS", value_parser = removable(mail_sender))]
        mail_from: Option<Removable<String>>,
        /// The sender of its SMS with the first provider.
        #[arg(long, value_name = "NUMBER", value_parser = removable(sms_sender))]
        sms_from: Option<Removable<String>>,
        /// The colour of its pages and mails: six hexadecimal digits.
        #[arg(long, value_name = "COLOUR", value_parser = removable(str::parse::<Colour>))]
        colour: Option<Removable<Colour>>,
        /// Opens the application: an https URL, or one with the application's own scheme.
        #[arg(long, value_name = "URL", value_parser = removable(str::parse::<OpenUrl>))]
        open_url: Option<Removable<OpenUrl>>,
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

pub(super) async fn run(context: &Context, command: AppsCommand) -> Result<(), Failure> {
    let access = match command {
        AppsCommand::Add { .. } => Access::Create,
        AppsCommand::List => Access::Read,
        AppsCommand::Set { .. } | AppsCommand::Default { .. } => Access::Change,
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
        AppsCommand::Set { name, brand, mail_from, sms_from, colour, open_url } => {
            let change = ApplicationChange {
                brand,
                mail_from: mail_from.map(Removable::into_inner),
                sms_from: sms_from.map(Removable::into_inner),
                colour: colour.map(Removable::into_inner),
                open_url: open_url.map(Removable::into_inner),
            };
            if !accounts.change_application(&name, change).await? {
                return Err(unknown(&name));
            }
            context.output.answer(&json!({"app_id": name.as_str()}), || format!("{name} is changed."));
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
                return Err(unknown(&name));
            }
            context.output.answer(&json!({"app_id": name.as_str(), "default": true}), || {
                format!("{name} is the default application.")
            });
        }
    }
    Ok(())
}

fn unknown(name: &AppName) -> Failure {
    Failure(format!("there is no application {name}"))
}

/// A value, or an empty text that removes it. A type of its own, because clap gives `Option<Option<_>>` another meaning.
#[derive(Clone, Debug)]
pub(super) struct Removable<T>(Option<T>);

impl<T> Removable<T> {
    fn into_inner(self) -> Option<T> {
        self.0
    }
}

fn removable<T, E>(parse: fn(&str) -> Result<T, E>) -> impl Fn(&str) -> Result<Removable<T>, E> + Clone {
    move |text| if text.is_empty() { Ok(Removable(None)) } else { parse(text).map(|value| Removable(Some(value))) }
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
