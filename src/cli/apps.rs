//! `apps add|list|default`: the applications that users sign in to.

use super::output::table;
use super::{Access, Refused, Shell};
use clap::Subcommand;
use portcullis_actors::domain::AppName;
use portcullis_actors::stores::{AccountStore as _, Created, NewApplication};
use portcullis_actors::transports::{is_mail_sender, is_sms_sender};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum AppsCommand {
    /// Add an application. The first one is the default: whoever names none signs in to it.
    #[command(after_help = "Example:\n  portcullis apps add driver --brand \"Fleet Driver\"")]
    Add {
        /// Its name, app_id to clients: 1 to 64 of a-z, 0-9, dot, underscore, dash.
        name: AppName,
        /// What its messages call it; its name if not given.
        #[arg(long, value_parser = brand)]
        brand: Option<String>,
        /// The sender of its mails, if not the configured one.
        #[arg(long, value_name = "ADDRESS", value_parser = mail_sender)]
        mail_from: Option<String>,
        /// The sender of its SMS with the first provider, if not the configured one.
        #[arg(long, value_name = "NUMBER", value_parser = sms_sender)]
        sms_from: Option<String>,
    },
    /// List the applications.
    #[command(after_help = "Example:\n  portcullis apps list --json")]
    List,
    /// Make an application the default: whoever names none signs in to it.
    #[command(after_help = "Example:\n  portcullis apps default driver")]
    Default {
        /// Its name.
        name: AppName,
    },
}

pub(super) async fn run(shell: &Shell, command: AppsCommand) -> Result<(), Refused> {
    let access = match command {
        AppsCommand::Add { .. } => Access::Create,
        AppsCommand::List => Access::Read,
        AppsCommand::Default { .. } => Access::Change,
    };
    let accounts = shell.database(&shell.config(&["database"])?, access).await?;
    match command {
        AppsCommand::Add { name, brand, mail_from, sms_from } => {
            let brand = brand.unwrap_or_else(|| name.to_string());
            match accounts.create_application(NewApplication { name: name.clone(), brand, mail_from, sms_from }).await?
            {
                Created::Duplicate => return Err(Refused(format!("there is an application {name} already"))),
                Created::New(id) => shell.output.answer(&json!({"id": id, "app_id": name.as_str()}), || {
                    format!("Application {name} is number {id}.")
                }),
            }
        }
        AppsCommand::List => {
            let apps = accounts.applications().await?;
            let objects: Vec<_> = apps
                .iter()
                .map(|app| {
                    json!({
                        "id": app.id, "app_id": app.name.as_str(), "brand": app.brand, "mail_from": app.mail_from,
                        "sms_from": app.sms_from, "default": app.is_default, "created_at": app.created.to_string(),
                    })
                })
                .collect();
            shell.output.answer(&json!({"apps": objects}), || {
                let rows: Vec<_> = apps
                    .iter()
                    .map(|app| {
                        vec![
                            app.id.to_string(),
                            app.name.to_string(),
                            app.brand.clone(),
                            app.created.to_string(),
                            if app.is_default { "default" } else { "" }.to_owned(),
                        ]
                    })
                    .collect();
                table(&["ID", "APP", "BRAND", "CREATED", ""], &rows)
            });
        }
        AppsCommand::Default { name } => {
            if !accounts.set_default_application(&name).await? {
                return Err(Refused(format!("there is no application {name}")));
            }
            shell.output.answer(&json!({"app_id": name.as_str(), "default": true}), || {
                format!("Whoever names no application signs in to {name}.")
            });
        }
    }
    Ok(())
}

fn mail_sender(text: &str) -> Result<String, &'static str> {
    if is_mail_sender(text) {
        Ok(text.to_owned())
    } else {
        Err("is neither name@example.com nor Name <name@example.com>")
    }
}

fn sms_sender(text: &str) -> Result<String, &'static str> {
    let fault = "is no number in E.164, no name of at most 11 letters and digits, and no messaging service (MG…)";
    if is_sms_sender(text) { Ok(text.to_owned()) } else { Err(fault) }
}

/// A line of text that can stand in a subject.
fn brand(text: &str) -> Result<String, &'static str> {
    match text.chars().count() {
        1..=64 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err("must be 1 to 64 characters on one line"),
    }
}
