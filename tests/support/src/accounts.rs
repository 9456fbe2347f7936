//! Users and applications: as values, in a store, by the command line, and signing in over HTTP.

use portcullis_actors::domain::{AppId, UserId};
use portcullis_actors::stores::{AccountStore, Created, NewApplication, NewUser};
use serde_json::Value;

/// The password of every user whose test does not say otherwise. It needs no escaping in a form.
pub const PASSWORD: &str = "correct-horse-4417";

/// The address of a user.
pub fn address(name: &str) -> String {
    format!("{name}@example.com")
}

/// A user without a usable password.
///
/// # Panics
/// When the name cannot be part of an address.
pub fn new_user(name: &str) -> NewUser {
    NewUser {
        email: address(name).parse().expect("an address"),
        first_name: "Ada".parse().expect("a name"),
        last_name: "O’Neil".parse().expect("a name"),
        password_hash: "old".to_owned(),
        admin: false,
        locale: None,
    }
}

/// An application without senders of its own.
///
/// # Panics
/// When the name is invalid.
pub fn new_application(name: &str) -> NewApplication {
    NewApplication {
        name: name.parse().expect("a name"),
        brand: format!("The {name}"),
        mail_from: None,
        sms_from: None,
        colour: None,
        open_url: None,
    }
}

/// Creates a user.
///
/// # Panics
/// When the address is taken.
pub async fn add_user(store: &dyn AccountStore, new: NewUser) -> UserId {
    match store.create_user(new).await.expect("the store answers") {
        Created::New(id) => id,
        Created::Duplicate => panic!("the user exists"),
    }
}

/// Creates an application.
///
/// # Panics
/// When the name is taken.
pub async fn add_application(store: &dyn AccountStore, new: NewApplication) -> AppId {
    match store.create_application(new).await.expect("the store answers") {
        Created::New(id) => id,
        Created::Duplicate => panic!("the application exists"),
    }
}

/// The command that creates a user; the password goes to its standard input.
pub fn users_add(email: &str) -> [&str; 9] {
    ["users", "add", "--email", email, "--first-name", "Grace", "--last-name", "Hopper", "--password-stdin"]
}

/// Signs in at the server with this URL. Returns the token, or the status of a refusal.
///
/// # Errors
/// The status, when it is not 200.
///
/// # Panics
/// When there is no answer.
pub async fn sign_in(url: &str, email: &str, password: &str) -> Result<String, u16> {
    let form = [("email", email), ("password", password)];
    let request = crate::http_client().post(format!("{url}/api/v1/tokens")).form(&form);
    let answer = request.send().await.expect("an answer");
    match answer.status().as_u16() {
        200 => {
            let answer: Value = answer.json().await.expect("JSON");
            Ok(answer["token"].as_str().expect("a token").to_owned())
        }
        status => Err(status),
    }
}

/// The status of a check of this token at the server with this URL.
///
/// # Panics
/// When there is no answer.
pub async fn check(url: &str, token: &str) -> u16 {
    let request = crate::http_client().get(format!("{url}/api/v1/sessions/current")).bearer_auth(token);
    request.send().await.expect("an answer").status().as_u16()
}
