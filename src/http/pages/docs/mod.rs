//! `/docs`: what the API is for and how it is called, made from the declarations. One page for each group of calls, so that
//! a phone loads little.

mod snippets;

use super::{Frame, Group as Links, Item, Side, Words, html};
use crate::http::endpoint::{Content, Endpoint, Group, Kind, Need, Parameter, Place, Reply};
use crate::http::error::{Code, Problem};
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::shape::Shape;
use crate::http::state::AppState;
use crate::http::{OPERATIONS, Operation};
use actix_web::http::StatusCode;
use askama::Template;
use portcullis_actors::domain::{KeyScope, Locale};
use snippets::{Example, LANGUAGES};

#[derive(Template)]
#[template(path = "docs_index.html", config = "src/http/pages/askama.toml")]
struct Index<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    base: &'a str,
    groups: Vec<Group>,
}

#[derive(Template)]
#[template(path = "docs_group.html", config = "src/http/pages/askama.toml")]
struct Calls<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    group: Group,
    base: &'a str,
}

#[derive(Template)]
#[template(path = "docs_concepts.html", config = "src/http/pages/askama.toml")]
struct Concepts<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    base: &'a str,
    codes: &'static [Code],
    scopes: [(&'static str, &'static str); KeyScope::ALL.len()],
}

/// `GET /docs`
pub async fn index(state: &AppState, _: Call<'_>) -> Answer {
    let (frame, side) = (Frame::own(Locale::En, "API"), side("/docs"));
    Ok(html(StatusCode::OK, &Index { frame, side, base: base(state), groups: groups().collect() }))
}

/// `GET /docs/concepts`
pub async fn concepts(state: &AppState, _: Call<'_>) -> Answer {
    let (frame, side) = (Frame::own(Locale::En, "Concepts"), side("/docs/concepts"));
    let scopes = KeyScope::ALL.map(|scope| (scope.as_str(), meaning(scope)));
    Ok(html(StatusCode::OK, &Concepts { frame, side, base: base(state), codes: Code::ALL, scopes }))
}

/// `GET /docs/:group`
///
/// # Errors
/// `not_found` if there is no such group.
pub async fn group(state: &AppState, call: Call<'_>) -> Answer {
    let name = call.parameter()?;
    let group = groups().find(|group| group.name() == name).ok_or_else(Problem::not_found)?;
    let (frame, side) = (Frame::own(Locale::En, group.title()), side(group.page()));
    Ok(html(StatusCode::OK, &Calls { frame, side, group, base: base(state) }))
}

const fn meaning(scope: KeyScope) -> &'static str {
    match scope {
        KeyScope::OwnerAct => "Makes the calls of a user, as the owner of the key.",
        KeyScope::TokensIntrospect => "Asks whose token it is.",
        KeyScope::SessionsRevoke => "Signs users out of the application of the key.",
        KeyScope::DevicesRead => "Reads where to push for a user, in the application of the key.",
        KeyScope::UsersRead => "Reads accounts.",
        KeyScope::UsersWrite => "Creates, changes, disables and deletes accounts.",
    }
}

fn base(state: &AppState) -> &str {
    state.settings.public_url.trim_end_matches('/')
}

/// Those that have calls.
fn groups() -> impl Iterator<Item = Group> {
    Group::ALL.iter().copied().filter(|group| group.calls().next().is_some())
}

fn side(current: &str) -> Side<'static> {
    let link = |href, label, icon| Item { href, label, icon, current: href == current };
    let calls = groups().map(|group| link(group.page(), group.title(), group.icon()));
    Side {
        home: "/docs",
        place: "API",
        groups: vec![
            Links {
                title: "",
                items: vec![link("/docs", "Overview", "book"), link("/docs/concepts", "Concepts", "sliders")],
            },
            Links { title: "Calls", items: calls.collect() },
        ],
        who: None,
        sign_out: "",
        words: Words::of(Locale::En),
    }
}

impl Group {
    const fn title(self) -> &'static str {
        match self {
            Self::Tokens => "Signing in",
            Self::Sessions => "Sessions",
            Self::Passwords => "Passwords",
            Self::Phone => "Phone numbers",
            Self::Devices => "Devices",
            Self::Users => "People",
            Self::Health => "Health",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Tokens => "person",
            Self::Sessions => "check",
            Self::Passwords => "key",
            Self::Phone => "mail",
            Self::Devices => "device",
            Self::Users => "people",
            Self::Health => "chart",
        }
    }

    const fn page(self) -> &'static str {
        match self {
            Self::Tokens => "/docs/tokens",
            Self::Sessions => "/docs/sessions",
            Self::Passwords => "/docs/passwords",
            Self::Phone => "/docs/phone",
            Self::Devices => "/docs/devices",
            Self::Users => "/docs/users",
            Self::Health => "/docs/health",
        }
    }

    fn calls(self) -> impl Iterator<Item = &'static Operation> {
        OPERATIONS.iter().filter(move |operation| operation.endpoint.group == self)
    }
}

impl Operation {
    fn snippets(&self, base: &str) -> [(&'static str, String); 4] {
        let example = Example::new(self, base);
        LANGUAGES.map(|(language, write)| (language, write(&example)))
    }
}

impl Endpoint {
    /// The first call of the group whose answer has the same members; `None` if it is this one.
    fn explained_by(&self, answer: &Reply) -> Option<&'static Self> {
        let same = |endpoint: &&Self| endpoint.answers.iter().any(|other| other.object() == answer.object());
        let first = self.group.calls().map(|operation| operation.endpoint).find(same);
        first.filter(|first| first.id != self.id)
    }

    /// The codes that not every call has.
    fn own_codes(&self) -> Vec<Code> {
        self.codes().into_iter().filter(|code| !Code::ANYWHERE.contains(code)).collect()
    }
}

impl Parameter {
    /// When it is needed, in a word or two.
    fn when(&self) -> String {
        match self.need {
            Need::Always => "required".to_owned(),
            Need::Never => "optional".to_owned(),
            Need::With(other) => format!("with `{other}`"),
            Need::Unless(other) => format!("unless `{other}`"),
        }
    }

    /// What it may be, and where it goes if not into the body.
    fn limits(&self) -> String {
        let place = match self.place {
            Place::Path => "In the path. ",
            Place::Query => "In the query or the body. ",
            Place::Body => "",
        };
        let values = match self.kind {
            Kind::Text(longest) => format!("At most {longest} characters."),
            Kind::Email => "An e-mail address.".to_owned(),
            Kind::OneOf(texts) => texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" or ") + ".",
            Kind::Flag => "`true` or `false`.".to_owned(),
            Kind::Id => "A positive whole number.".to_owned(),
            Kind::SessionId => "22 characters.".to_owned(),
        };
        format!("{place}{values}")
    }
}

impl Reply {
    /// The content as JSON, with the members in their order; empty if there is none.
    fn sample(&self) -> String {
        match &self.content {
            Content::Nothing => String::new(),
            Content::Message(text) => format!("{{\n  \"message\": \"{text}\"\n}}"),
            Content::Json(shape) => sample(shape, "\n"),
        }
    }

    /// The name of the object that it consists of; empty if there is none.
    fn object(&self) -> &'static str {
        match &self.content {
            Content::Json(Shape::Object(object) | Shape::List(Shape::Object(object))) => object.name,
            _ => "",
        }
    }

    /// The members, those of inner objects too: name and sentence.
    fn members(&self) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        if let Content::Json(shape) = &self.content {
            members("", shape, &mut found);
        }
        found
    }
}

/// Lines begin with `line`, which is a line break and the indentation.
fn sample(shape: &Shape, line: &str) -> String {
    match shape {
        Shape::Nullable(inner) => sample(inner, line),
        Shape::List(inner) => format!("[{}]", sample(inner, line)),
        Shape::Object(object) => {
            let inner = format!("{line}  ");
            let member = |name: &str, value: &str| format!("{inner}\"{name}\": {value}");
            let members =
                object.members.iter().filter(|it| it.always || it.example.is_some()).map(|it| match it.example {
                    Some(example) => member(it.name, example),
                    None => member(it.name, &sample(&it.shape, &inner)),
                });
            format!("{{{}{line}}}", members.collect::<Vec<_>>().join(","))
        }
        Shape::Text | Shape::Integer | Shape::Flag | Shape::Time | Shape::OneOf(_) => "null".to_owned(),
    }
}

fn members(before: &str, shape: &Shape, found: &mut Vec<(String, &'static str)>) {
    match shape {
        Shape::Nullable(inner) | Shape::List(inner) => members(before, inner, found),
        Shape::Object(object) => {
            for member in object.members {
                let name = format!("{before}{}", member.name);
                found.push((name.clone(), member.about.trim()));
                members(&format!("{name}."), &member.shape, found);
            }
        }
        Shape::Text | Shape::Integer | Shape::Flag | Shape::Time | Shape::OneOf(_) => {}
    }
}

/// HTML of a declared text: what is between backticks is code.
fn prose(text: impl AsRef<str>) -> String {
    let text = text.as_ref().replace('&', "&amp;").replace('<', "&lt;");
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}
