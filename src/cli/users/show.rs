//! `users show`: one user with sessions and devices.

use super::{Context, Database, Failure, find};
use crate::app::TokenStore;
use crate::cli::output::table;
use crate::config::Config;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::domain::{AppId, AppName};
use portcullis_actors::stores::{AccountStore as _, Device, DeviceStore as _, Session, StoreResult, User};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Applications, devices and sessions of a user.
struct Details {
    apps: HashMap<AppId, AppName>,
    devices: Vec<Device>,
    /// Or why they cannot be read here.
    sessions: Result<Vec<Session>, String>,
}

pub(super) async fn run(context: &Context, config: &Config, accounts: &Database, user: &str) -> Result<(), Failure> {
    let user = find(accounts, user).await?;
    let sessions = async || -> StoreResult<Result<Vec<Session>, String>> {
        match TokenStore::open_existing(config, Arc::new(SystemClock), accounts).await {
            Ok(tokens) => tokens.sessions().list(user.id).await.map(Ok),
            Err(error) => Ok(Err(error.to_string())),
        }
    };
    let details = Details {
        apps: accounts.applications().await?.into_iter().map(|app| (app.id, app.name)).collect(),
        devices: accounts.devices(user.id, None).await?,
        sessions: sessions().await?,
    };
    let mut shown = object(&user);
    shown["devices"] = details.devices.iter().map(|device| details.device(device)).collect();
    shown["sessions"] = match &details.sessions {
        Ok(sessions) => sessions.iter().map(|session| details.session(config, session)).collect(),
        Err(_) => Value::Null,
    };
    context.output.answer(&shown, || lines(&user) + &details.lines(config));
    Ok(())
}

impl Details {
    /// `None`: the pages of this server.
    fn app(&self, id: AppId) -> Option<&str> {
        self.apps.get(&id).map(AppName::as_str)
    }

    fn device_of(&self, session: &Session) -> Option<&str> {
        let device = self.devices.iter().find(|device| session.device == Some(device.id));
        device.map(|device| device.device_token.as_str())
    }

    fn device(&self, device: &Device) -> Value {
        json!({
            "app_id": self.app(device.app), "device_token": device.device_token.as_str(),
            "mobile_os": device.mobile_os.as_str(), "push": device.push.is_some(), "seen_at": device.seen.to_string(),
        })
    }

    fn session(&self, config: &Config, session: &Session) -> Value {
        json!({
            "id": session.id.to_text(), "app_id": self.app(session.app),
            "device_token": self.device_of(session),
            "created_at": session.created.to_string(),
            "last_seen_at": config.sessions.last_seen(session).to_string(),
            "expires_at": session.expires().to_string(),
        })
    }

    fn lines(&self, config: &Config) -> String {
        let sessions = match &self.sessions {
            Err(why) => format!("Sessions: {why}"),
            Ok(sessions) if sessions.is_empty() => "No sessions.".to_owned(),
            Ok(sessions) => table(&["SESSION OF", "DEVICE", "SINCE", "LAST SEEN"], sessions, |session| {
                vec![
                    self.app(session.app).unwrap_or("(pages)").to_owned(),
                    self.device_of(session).unwrap_or_default().to_owned(),
                    session.created.to_string(),
                    config.sessions.last_seen(session).to_string(),
                ]
            }),
        };
        let titles = ["DEVICE OF", "DEVICE", "SYSTEM", "LAST SEEN", ""];
        let devices = match self.devices.as_slice() {
            [] => "No devices.".to_owned(),
            devices => table(&titles, devices, |device| {
                vec![
                    self.app(device.app).unwrap_or_default().to_owned(),
                    device.device_token.as_str().to_owned(),
                    device.mobile_os.as_str().to_owned(),
                    device.seen.to_string(),
                    if device.push.is_some() { "pushes" } else { "" }.to_owned(),
                ]
            }),
        };
        format!("\n\n{sessions}\n\n{devices}")
    }
}

pub(super) fn object(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email.as_str(),
        "first_name": user.first_name.as_str(),
        "last_name": user.last_name.as_str(),
        "admin": user.admin,
        "disabled": user.disabled.is_some(),
        "disabled_at": user.disabled.map(|at| at.to_string()),
        "phone": user.phone.as_ref().map(|phone| phone.as_str()),
        "phone_verified_at": user.phone_verified.map(|at| at.to_string()),
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
    let verified = user.phone_verified.map_or(String::new(), |at| format!(", verified {at}"));
    text += &line(
        "Phone",
        &user.phone.as_ref().map_or("not verified".to_owned(), |phone| phone.as_str().to_owned() + &verified),
    );
    text += &line("Language", user.locale.map_or("not known", |locale| locale.as_str()));
    text += &line("Wrong passwords", &format!("{} in a row", user.failures));
    text += &line("Created", &user.created.to_string());
    text.trim_end().to_owned()
}
