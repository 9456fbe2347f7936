//! The demo data. It makes the examples of the API reference work in development. Production refuses to start with it.

use crate::config::{Config, MailTransport, SmsTransport};
use crate::http::Development;
use portcullis_actors::domain::{Email, KeyScope, Password, ServerKey, UserId};
use portcullis_actors::hashing::{HashingPool, Verified};
use portcullis_actors::stores::{AccountStore, NewApplication, NewKey, NewUser};
use std::net::SocketAddr;

pub(crate) const EMAIL: &str = "admin@beyondvip.com";
pub(crate) const PASSWORD: &str = "password";
pub(crate) const APP: &str = "beyondvip";
const COLOUR: &str = "6d28d9";
const OPEN_URL: &str = "beyondvip://open";
pub(crate) const KEY: &str = "2zLJaxqVzKJgQ0XfYIg8Wg";

/// A store or the hashing pool failed.
type Failure = Box<dyn std::error::Error>;

struct Demo {
    email: Email,
    password: Password,
    key: ServerKey,
}

#[expect(clippy::expect_used, reason = "constants, which a test parses")]
fn demo() -> Demo {
    Demo {
        email: EMAIL.parse().expect("is an address"),
        password: PASSWORD.parse().expect("is a password"),
        key: KEY.parse().expect("is a key"),
    }
}

/// Creates missing demo data. A database whose first user is another one is left alone.
pub(crate) async fn seed(accounts: &dyn AccountStore, hashing: &HashingPool) -> Result<(), Failure> {
    let Demo { email, password, key } = demo();
    let first = accounts.users(UserId(0), 1).await?;
    if first.first().is_some_and(|user| user.email != email) {
        return Ok(());
    }
    let name = APP.parse()?;
    let app = NewApplication {
        name,
        brand: "Beyond VIP".to_owned(),
        mail_from: None,
        sms_from: None,
        colour: Some(COLOUR.parse()?),
        open_url: Some(OPEN_URL.parse()?),
    };
    accounts.create_application(app.clone()).await?;
    let app = accounts.application(Some(&app.name)).await?;
    if first.is_empty() {
        let user = NewUser {
            email: email.clone(),
            first_name: "Ada".parse()?,
            last_name: "Admin".parse()?,
            password_hash: hashing.hash(&password).await?,
            admin: true,
            locale: None,
        };
        accounts.create_user(user).await?;
    }
    let user = accounts.user_by_email(&email).await?;
    if let (Some(app), Some(user)) = (app, user) {
        let new = NewKey {
            digest: key.digest(),
            app: app.id,
            owner: user.id,
            scopes: KeyScope::ALL.to_vec(),
            name: "demo".to_owned(),
            expires: None,
        };
        accounts.create_key(new).await?;
    }
    Ok(())
}

/// The public demo credentials that work in a database, one line each.
pub(crate) async fn live_credentials(
    accounts: &dyn AccountStore,
    hashing: &HashingPool,
) -> Result<Vec<String>, Failure> {
    let Demo { email, password, key } = demo();
    let mut faults = Vec::new();
    if let Some(user) = accounts.user_by_email(&email).await?
        && user.disabled.is_none()
        && hashing.verify(&password, Some(&user.password_hash)).await?.verified != Verified::No
    {
        faults.push(format!("the demo user {EMAIL} has its demo password: portcullis users disable {}", user.id));
    }
    if let Some(key) = accounts.live_key(key.digest()).await? {
        faults.push(format!("the demo key is valid: portcullis keys revoke {}", key.id));
    }
    Ok(faults)
}

/// What the start page tells. `operators` is the address of the listener for operators.
pub(crate) fn start_page(config: &Config, operators: Option<SocketAddr>) -> Development {
    let database = match config.database.file() {
        Some(file) => format!("SQLite, {}", file.display()),
        None => "PostgreSQL".to_owned(),
    };
    let tokens = match config.redis.is_used() {
        false => format!("SQLite, {}", config.token_file().display()),
        true => "Redis".to_owned(),
    };
    let mail = match config.mail.transport {
        MailTransport::Inbox => "stays in the inbox",
        MailTransport::Smtp => "SMTP",
    };
    let sms = match config.sms.transport {
        SmsTransport::Inbox => "stays in the inbox",
        SmsTransport::Twilio => "a Twilio-compatible provider",
    };
    let mut parts =
        vec![("Accounts", database), ("Sessions, codes", tokens), ("Mail", mail.to_owned()), ("SMS", sms.to_owned())];
    parts.extend(operators.map(|address| ("Metrics", format!("http://{address}/metrics"))));
    Development {
        version: env!("BUILD_VERSION"),
        parts,
        console: operators.map(|address| format!("http://{address}/admin")),
        email: EMAIL,
        password: PASSWORD,
        key: KEY,
    }
}

/// Whether mail or SMS stay in memory.
pub(crate) fn has_inbox(config: &Config) -> bool {
    config.mail.transport == MailTransport::Inbox || config.sms.transport == SmsTransport::Inbox
}

/// Examples for the terminal, at most 20 lines. `operators` is the address of the listener for operators.
pub(crate) fn greeting(url: &str, operators: Option<SocketAddr>, has_inbox: bool) -> String {
    let inbox = if has_inbox { format!(" Mail and SMS stay in memory: {url}/dev/inbox") } else { String::new() };
    let console =
        operators.map(|address| format!("\nConsole: http://{address}/admin\nMetrics: http://{address}/metrics"));
    let console = console.unwrap_or_default();
    format!(
        "Portcullis listens on {url} (development profile, demo data).
Open {url}/ in a browser.{inbox}{console}

  curl -X POST -d email={EMAIL} -d password={PASSWORD} -d device_token=324628746283682634 -d mobile_os=ios \\
    {url}/api/v1/tokens.json
  curl -X DELETE -d auth_token=TOKEN {url}/api/v1/tokens/1.json
  curl -X POST -d email={EMAIL} {url}/api/v1/tokens/reset.json
  curl -X POST -d auth_token={KEY} -d phone=\"(123)456-7890\" \\
    {url}/api/v1/settings/send_phone_verification.json
  curl -X POST -d auth_token={KEY} -d token=1988 {url}/api/v1/settings/verify_phone.json

Stop it with Ctrl-C."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_parse_and_the_greeting_is_short() {
        assert_eq!(demo().email.as_str(), EMAIL);
        let operators = Some(SocketAddr::from(([127, 0, 0, 1], 8081)));
        let text = greeting("http://127.0.0.1:8080", operators, true);
        assert!(text.lines().count() <= 20, "{text}");
        assert!(text.contains("/dev/inbox") && text.contains("http://127.0.0.1:8081/admin"), "{text}");
        let text = greeting("http://127.0.0.1:8080", None, false);
        assert!(!text.contains("in memory") && !text.contains("Console"), "{text}");
    }
}
