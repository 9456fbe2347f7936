//! People: the caller's own account, and for back ends those of all users.

use super::dispatch::{Weight, caller};
use super::endpoint::{Access, Endpoint, Group, Kind, Parameter, Reply};
use super::error::{Code, Problem};
use super::extract::{Call, Flag};
use super::route::{Answer, json, message};
use super::shape::{Shaped as _, shapes};
use super::state::AppState;
use portcullis_actors::account::{CreateUser, DeleteUser, EndSessions, FindBy, FindUser, Person, Profile, UpdateUser};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{KeyScope, Locale, Password, PersonName, Phone, UserId};
use portcullis_actors::stores::UserChange;

shapes! {
    /// The caller's own account.
    struct Me<'a> {
        /// The id, which is never given twice.
        id: UserId = 1,
        /// The address, in lower case.
        email: &'a str = "admin@beyondvip.com",
        /// The first name.
        first_name: &'a str = "Ada",
        /// The last name.
        last_name: &'a str = "Admin",
        /// The verified phone number, in E.164.
        phone: Option<&'a str> = "+12125550123",
        /// When the number was verified, if that is known.
        phone_verified_at: Option<Timestamp> = "2025-11-24T16:00:00Z",
        /// The language of messages to them.
        locale: Option<Locale> = "en",
        /// When the account was created.
        created_at: Timestamp = "2025-11-24T16:00:00Z",
    }
}

shapes! {
    /// Somebody who signs in.
    struct User<'a> {
        /// The id, which is never given twice.
        id: UserId = 1,
        /// The address, in lower case.
        email: &'a str = "admin@beyondvip.com",
        /// The first name.
        first_name: &'a str = "Ada",
        /// The last name.
        last_name: &'a str = "Admin",
        /// The verified phone number, in E.164.
        phone: Option<&'a str> = "+12125550123",
        /// When the number was verified, if that is known.
        phone_verified_at: Option<Timestamp> = "2025-11-24T16:00:00Z",
        /// The language of messages to them.
        locale: Option<Locale> = "en",
        /// When the account was created.
        created_at: Timestamp = "2025-11-24T16:00:00Z",
        /// Whether the account is disabled.
        disabled: bool = false,
    }
}

impl<'a> Me<'a> {
    fn of(person: &'a Person) -> Self {
        Self {
            id: person.id,
            email: person.email.as_str(),
            first_name: person.first_name.as_str(),
            last_name: person.last_name.as_str(),
            phone: person.phone.as_ref().map(Phone::as_str),
            phone_verified_at: person.phone_verified,
            locale: person.locale,
            created_at: person.created,
        }
    }
}

impl<'a> User<'a> {
    fn of(person: &'a Person) -> Self {
        let Me { id, email, first_name, last_name, phone, phone_verified_at, locale, created_at } = Me::of(person);
        let disabled = person.disabled.is_some();
        Self { id, email, first_name, last_name, phone, phone_verified_at, locale, created_at, disabled }
    }
}

const IN_PATH: Parameter = Parameter::path("user_id", Kind::Id, "The id of the user.", "1");

pub static ME: Endpoint = Endpoint {
    id: "getMe",
    group: Group::Users,
    summary: "Read the caller's own account.",
    description: "A key reads the account of its owner.",
    access: Access::USER,
    parameters: &[],
    answers: &[Reply::json("The account.", Me::SHAPE)],
    errors: &[],
};

/// `GET /me`
pub async fn me(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = Profile(call.credential(state).await?);
    let person = state.dispatcher.ask(Weight::Ordinary, &state.ports.profile, ask).await?;
    json(&Me::of(&person))
}

pub static SHOW: Endpoint = Endpoint {
    id: "getUser",
    group: Group::Users,
    summary: "Read an account.",
    description: "",
    access: Access::key(&[KeyScope::UsersRead]),
    parameters: &[IN_PATH],
    answers: &[Reply::json("The account.", User::SHAPE)],
    errors: &[],
};

/// `GET /users/:id`
pub async fn show(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let credential = call.credential(state).await.map_err(Problem::for_server_keys)?;
    found(state, FindUser { credential, by: FindBy::Id(user) }).await
}

pub static FIND: Endpoint = Endpoint {
    id: "findUser",
    group: Group::Users,
    summary: "Find the account of an e-mail address.",
    description: "The address is matched as a whole, whatever the case of its letters. In a query a `+` is written `%2B`. URLs end up in \
                  the logs of proxies: where that matters, send the address in the body.",
    access: Access::key(&[KeyScope::UsersRead]),
    parameters: &[
        Parameter::required("email", Kind::Email, "The address of the account.", "admin@beyondvip.com").in_query()
    ],
    answers: &[Reply::json("The account.", User::SHAPE)],
    errors: &[Code::NotFound],
};

/// `GET /users?email=`
pub async fn find(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&FIND)?;
    let credential = incoming.credential().map_err(Problem::for_server_keys)?;
    let email = fields.required("email");
    let ask = fields.build(|| Some(FindUser { credential, by: FindBy::Email(email?) }))?;
    found(state, ask).await
}

async fn found(state: &AppState, ask: FindUser) -> Answer {
    let person = state.dispatcher.ask(Weight::Ordinary, &state.ports.find_user, ask).await;
    json(&User::of(&person.map_err(Problem::for_server_keys)?))
}

pub static CREATE: Endpoint = Endpoint {
    id: "createUser",
    group: Group::Users,
    summary: "Create an account.",
    description: "Without a `password` the person is invited: a mail in the name of the key's application has a link that sets one and \
                  is valid for 7 days; after that a password reset does the same. An address that has an account is an invalid \
                  parameter, and is mailed nothing. The account is never an administrator's.",
    access: Access::key(&[KeyScope::UsersWrite]),
    parameters: &[
        Parameter::required("email", Kind::Email, "The address to sign in with.", "grace@example.com"),
        Parameter::required("first_name", Kind::Text(PersonName::LONGEST), "The first name.", "Grace"),
        Parameter::required("last_name", Kind::Text(PersonName::LONGEST), "The last name.", "Hopper"),
        Parameter::optional("locale", Kind::OneOf(&Locale::NAMES), "The language of messages to them.", "en"),
        Parameter::optional(
            "password",
            Kind::Text(Password::LONGEST),
            "The password to sign in with.",
            "correct-horse-4417",
        ),
    ],
    answers: &[Reply::json("The new account.", User::SHAPE)],
    errors: &[Code::PasswordUnacceptable, Code::TooManyMessages],
};

/// `POST /users`
pub async fn create(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&CREATE)?;
    let credential = incoming.credential().map_err(Problem::for_server_keys)?;
    let email = fields.required("email");
    let (first_name, last_name) = (fields.required("first_name"), fields.required("last_name"));
    let locale = fields.optional("locale");
    // Not `optional`: an empty text is an error here, or a slip would invite somebody.
    let password = fields.given("password");
    let (caller, _guard) = caller();
    let ask = fields.build(|| {
        Some(CreateUser {
            credential,
            email: email?,
            first_name: first_name?,
            last_name: last_name?,
            locale,
            password,
            app: None,
            caller,
        })
    })?;
    let person = state.dispatcher.ask(Weight::Costly, &state.ports.create_user, ask).await;
    json(&User::of(&person.map_err(Problem::for_server_keys)?))
}

pub static UPDATE: Endpoint = Endpoint {
    id: "updateUser",
    group: Group::Users,
    summary: "Change, disable or enable an account.",
    description: "What is not sent stays. Disabling ends sessions, keys, codes and links at once. A key changes no account of an \
                  administrator.",
    access: Access::key(&[KeyScope::UsersWrite]),
    parameters: &[
        IN_PATH,
        Parameter::optional("first_name", Kind::Text(PersonName::LONGEST), "The new first name.", "Grace"),
        Parameter::optional("last_name", Kind::Text(PersonName::LONGEST), "The new last name.", "Hopper"),
        Parameter::optional("locale", Kind::OneOf(&Locale::NAMES), "The new language of messages to them.", "es"),
        Parameter::optional("disabled", Kind::Flag, "Whether the account is disabled from now on.", "true"),
    ],
    answers: &[Reply::json("The account as it is now.", User::SHAPE)],
    errors: &[],
};

/// `PATCH /users/:id`
pub async fn update(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&UPDATE)?;
    let credential = incoming.credential().map_err(Problem::for_server_keys)?;
    let change = UserChange {
        first_name: fields.given("first_name"),
        last_name: fields.given("last_name"),
        locale: fields.given("locale"),
        disabled: fields.given("disabled").map(|Flag(disabled)| disabled),
        admin: None,
    };
    let (caller, _guard) = caller();
    let ask = fields.build(|| Some(UpdateUser { credential, user, change, confirmation: None, caller }))?;
    let person = state.dispatcher.ask(Weight::Ordinary, &state.ports.update_user, ask).await;
    json(&User::of(&person.map_err(Problem::for_server_keys)?))
}

pub static DELETE: Endpoint = Endpoint {
    id: "deleteUser",
    group: Group::Users,
    summary: "Delete an account.",
    description: "Its sessions, devices, keys and messages go with it, and nothing about the person stays. A key deletes no account of an \
                  administrator.",
    access: Access::key(&[KeyScope::UsersWrite]),
    parameters: &[IN_PATH],
    answers: &[Reply::message("The account is gone.", "User deleted.")],
    errors: &[],
};

/// `DELETE /users/:id`
pub async fn delete(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let credential = call.credential(state).await.map_err(Problem::for_server_keys)?;
    let (caller, _guard) = caller();
    let ask = DeleteUser { credential, user, confirmation: None, caller };
    let deleted = state.dispatcher.ask(Weight::Ordinary, &state.ports.delete_user, ask).await;
    deleted.map_err(Problem::for_server_keys)?;
    message(&DELETE)
}

pub static END_SESSIONS: Endpoint = Endpoint {
    id: "endSessionsOfUser",
    group: Group::Users,
    summary: "Sign a user out of the application of the key.",
    description: "",
    access: Access::key(&[KeyScope::SessionsRevoke]),
    parameters: &[IN_PATH],
    answers: &[Reply::message("The sessions have ended.", "User signed out.")],
    errors: &[],
};

/// `DELETE /users/:id/sessions`
pub async fn end_sessions(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let credential = call.credential(state).await.map_err(Problem::for_server_keys)?;
    let ask = EndSessions { credential, user };
    let ended = state.dispatcher.ask(Weight::Ordinary, &state.ports.end_sessions, ask).await;
    ended.map_err(Problem::for_server_keys)?;
    message(&END_SESSIONS)
}
