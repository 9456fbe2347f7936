//! What a call of the API is: who may make it, its parameters, answers and errors. Each is declared once, above its handler,
//! and everything else follows from it: what the handler can read, the tests of all calls, the README's tables,
//! `/openapi.json` and `/docs`.
//!
//! In texts a name of the API stands between backticks.

use super::error::Code;
use super::shape::Shape;
use portcullis_actors::domain::{Email, KeyScope};

/// The declaration of a method of a path. Both are in the route table.
#[derive(Debug)]
pub struct Endpoint {
    /// Unique, in camel case: the name of the call in generated clients.
    pub id: &'static str,
    pub group: Group,
    /// One sentence.
    pub summary: &'static str,
    /// What else is worth knowing; may be empty.
    pub description: &'static str,
    pub access: Access,
    pub parameters: &'static [Parameter],
    /// The first one is what clients hope for.
    pub answers: &'static [Reply],
    /// The codes beside those that follow from the rest; see [`Endpoint::codes`].
    pub errors: &'static [Code],
}

impl Endpoint {
    /// Every code that this call can be refused with, ordered by status.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes = Code::ANYWHERE.to_vec();
        codes.extend_from_slice(self.errors);
        if self.access.user || !self.access.scopes.is_empty() {
            codes.push(Code::InvalidToken);
        }
        if !self.access.scopes.is_empty() {
            codes.push(Code::InsufficientScope);
        }
        if !self.access.scopes.is_empty() && !self.access.user {
            codes.push(Code::Forbidden);
        }
        if self.parameters.iter().any(|parameter| parameter.place == Place::Path) {
            codes.push(Code::NotFound);
        }
        if !self.parameters.is_empty() {
            codes.push(Code::InvalidParameters);
        }
        let all = Code::ALL.iter().copied();
        all.filter(|code| codes.contains(code)).collect()
    }

    /// The summary as a heading.
    pub fn title(&self) -> &'static str {
        self.summary.trim_end_matches('.')
    }

    /// The declared parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// The text of the answer `{"message": text}`; empty if this call has none.
    pub fn message(&self) -> &'static str {
        let text = self.answers.iter().find_map(|answer| match answer.content {
            Content::Message(text) => Some(text),
            _ => None,
        });
        text.unwrap_or_default()
    }
}

/// Calls that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Tokens,
    Sessions,
    Passwords,
    Phone,
    Devices,
    Users,
    Health,
}

impl Group {
    /// In the order of documents.
    pub const ALL: &'static [Self] =
        &[Self::Tokens, Self::Sessions, Self::Passwords, Self::Phone, Self::Devices, Self::Users, Self::Health];

    /// The name in paths and in generated clients.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Sessions => "sessions",
            Self::Passwords => "passwords",
            Self::Phone => "phone",
            Self::Devices => "devices",
            Self::Users => "users",
            Self::Health => "health",
        }
    }

    /// What its calls are for, in a sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Tokens => "Sign in, sign out, and ask whose token it is.",
            Self::Sessions => "Check a session, list a user's sessions, and end them.",
            Self::Passwords => "Mail a reset link, and set a new password.",
            Self::Phone => "Send a code to a phone number, and verify the number with it.",
            Self::Devices => "Register where push messages go, and find out.",
            Self::Users => "Read and manage the people who sign in.",
            Self::Health => "For load balancers and supervisors.",
        }
    }
}

/// Who may make a call.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// Whether it works without a credential.
    pub open: bool,
    /// Whether a user token will do.
    pub user: bool,
    /// Scopes of which a server key needs one; none: keys are refused.
    pub scopes: &'static [KeyScope],
    /// Whether the key may also come as HTTP Basic, as the password of its application.
    pub basic: bool,
}

impl Access {
    /// Everybody, without a credential.
    pub const OPEN: Self = Self { open: true, user: false, scopes: &[], basic: false };
    /// A user token, and no key.
    pub const USER_TOKEN: Self = Self { open: false, user: true, ..Self::OPEN };
    /// A user token, or a key that acts for its owner.
    pub const USER: Self = Self::USER_TOKEN.or_key(&[KeyScope::OwnerAct]);

    /// A key with one of these scopes.
    pub const fn key(scopes: &'static [KeyScope]) -> Self {
        Self { open: false, scopes, ..Self::OPEN }
    }

    /// Or a key with one of these scopes.
    pub const fn or_key(self, scopes: &'static [KeyScope]) -> Self {
        Self { scopes, ..self }
    }

    /// The key also as HTTP Basic.
    pub const fn or_basic(self) -> Self {
        Self { basic: true, ..self }
    }

    /// Or no credential, if a parameter stands for it.
    pub const fn or_open(self) -> Self {
        Self { open: true, ..self }
    }

    /// In words.
    pub fn text(&self) -> String {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
        let mut ways = Vec::new();
        if self.user {
            ways.push("user token".to_owned());
        }
        if !scopes.is_empty() {
            let basic = if self.basic { ", as Bearer or HTTP Basic" } else { "" };
            ways.push(format!("key with {}{basic}", scopes.join(" or ")));
        }
        if self.open {
            ways.push("none".to_owned());
        }
        ways.join(", or ")
    }
}

/// A parameter. Its value is a text in every kind of body.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub kind: Kind,
    pub need: Need,
    /// One sentence.
    pub about: &'static str,
    /// A valid value.
    pub example: &'static str,
}

/// Where documents say that a parameter goes. One of the body may also come in the query, and the other way round; a
/// secret may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Body,
}

/// Which texts are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At most so many characters, and not empty.
    Text(usize),
    Email,
    /// One of these, whatever the case of its letters.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A positive whole number.
    Id,
    /// The 22 characters of a session's id.
    SessionId,
}

impl Kind {
    /// The most characters, if there is a limit of its own.
    pub const fn longest(self) -> Option<usize> {
        match self {
            Self::Text(longest) => Some(longest),
            Self::Email => Some(Email::LONGEST),
            Self::OneOf(_) | Self::Flag | Self::Id | Self::SessionId => None,
        }
    }
}

/// When a parameter must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Always,
    Never,
    /// Together with this parameter, else it is optional.
    With(&'static str),
    /// In place of this parameter; both are an error.
    Unless(&'static str),
}

impl Parameter {
    /// One that must be there, in the body.
    pub const fn required(name: &'static str, kind: Kind, about: &'static str, example: &'static str) -> Self {
        Self { name, place: Place::Body, kind, need: Need::Always, about, example }
    }

    /// One that may be absent, in the body.
    pub const fn optional(name: &'static str, kind: Kind, about: &'static str, example: &'static str) -> Self {
        Self { need: Need::Never, ..Self::required(name, kind, about, example) }
    }

    /// The one in the path.
    pub const fn path(name: &'static str, kind: Kind, about: &'static str, example: &'static str) -> Self {
        Self { place: Place::Path, ..Self::required(name, kind, about, example) }
    }

    /// In the query.
    pub const fn in_query(self) -> Self {
        Self { place: Place::Query, ..self }
    }

    /// Needed if that other one is there.
    pub const fn with(self, other: &'static str) -> Self {
        Self { need: Need::With(other), ..self }
    }

    /// Needed unless that other one is there.
    pub const fn unless(self, other: &'static str) -> Self {
        Self { need: Need::Unless(other), ..self }
    }
}

/// An answer that is no error.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// One sentence.
    pub about: &'static str,
    pub content: Content,
}

/// What an answer has in it.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    Nothing,
    /// `{"message": text}`
    Message(&'static str),
    Json(Shape),
}

impl Reply {
    /// 200 with JSON.
    pub const fn json(about: &'static str, shape: Shape) -> Self {
        Self { status: 200, about, content: Content::Json(shape) }
    }

    /// 200 with this text for people, which clients may compare.
    pub const fn message(about: &'static str, text: &'static str) -> Self {
        Self { status: 200, about, content: Content::Message(text) }
    }

    /// With another status.
    pub const fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// A user token for examples. It is well formed and belongs to nobody.
pub const A_TOKEN: &str = "AAAAAAAAAAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxg";
/// The key of the demo data.
pub const A_KEY: &str = "2zLJaxqVzKJgQ0XfYIg8Wg";
