//! Extracts from a request what handlers use: parameters, credential, client address and language.
//!
//! Refusals come in this order: a request that cannot be parsed (400, 413, 415), a missing or malformed credential
//! (401), invalid parameters (422), all of them in one answer.

use super::endpoint::{Endpoint, Need, Place};
use super::error::{Code, Problem};
use super::params::{self, Params};
use super::state::AppState;
use super::{body, peer};
use actix_http::{Payload, Request};
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_ENCODING, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use portcullis_actors::domain::{AppName, Credential, Invalid, Locale, MobileOs, UserId};
use portcullis_actors::error::{ErrorKind, FieldError};
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

/// Parameters that are refused in a query string, because URLs end in logs and histories (RFC 6750 §5.3).
pub const SECRETS: [&str; 5] = ["auth_token", "password", "current_password", "token", "reset_token"];

/// A request that was parsed but not yet checked.
pub struct Incoming {
    params: Params,
    authorization: Option<String>,
    pub peer: IpAddr,
    /// The preferred language of `Accept-Language` among those of our messages.
    pub language: Option<Locale>,
}

/// A request whose route is known. Nothing of it is read yet.
pub struct Call<'a> {
    request: &'a Request,
    /// The rest of the body.
    payload: &'a mut Payload,
    /// The place of the route's parameter in the path.
    parameter: Range<usize>,
}

impl<'a> Call<'a> {
    pub fn new(request: &'a Request, payload: &'a mut Payload, parameter: Range<usize>) -> Self {
        Self { request, payload, parameter }
    }

    pub fn method(&self) -> &'a Method {
        self.request.method()
    }

    pub fn headers(&self) -> &'a HeaderMap {
        self.request.head().headers()
    }

    /// The path with its query, as it was sent.
    pub fn path_and_query(&self) -> &'a str {
        self.request.uri().path_and_query().map_or("/", |path| path.as_str())
    }

    /// Reads parameters, credential and what else a handler uses of a request.
    ///
    /// # Errors
    /// A request that cannot be parsed, or a secret in its URL.
    pub async fn read(&mut self, state: &AppState) -> Result<Incoming, Problem> {
        let settings = &state.settings;
        let mut params = self.query(state)?;
        let secrets = if settings.token_in_query { &SECRETS[1..] } else { &SECRETS };
        refuse_in_url(&params, secrets)?;
        params.extend(self.body(state).await?);
        let language = self.headers().get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
        Ok(Incoming {
            params,
            authorization: self.authorization()?,
            peer: peer::address(self.request, &settings.trusted_proxies),
            language: language.and_then(Locale::from_accept_language),
        })
    }

    /// The credential, for handlers that use nothing else of a request. The same as that of [`read`](Self::read).
    ///
    /// # Errors
    /// Those of [`read`](Self::read) and of [`Incoming::credential`].
    pub async fn credential(&mut self, state: &AppState) -> Result<Credential, Problem> {
        match self.plain_credential() {
            Some(credential) => Ok(credential),
            None => self.read(state).await?.credential(),
        }
    }

    /// The credential of a request to a neighbour, about which a proxy asks. All but `Authorization` and `auth_token` is the
    /// neighbour's. With an `Authorization`, the body is not read: it may be large.
    ///
    /// # Errors
    /// `token_in_url`, `conflicting_credentials`, `malformed_request` if the query is too long or `auth_token` is not one
    /// text, `invalid_token` if there is no credential or it is malformed.
    pub async fn forwarded_credential(&mut self, state: &AppState) -> Result<Credential, Problem> {
        if let (None, Some(credential)) = (self.request.uri().query(), self.bearer_credential()) {
            return Ok(credential);
        }
        let mut params = self.query(state)?;
        if !state.settings.token_in_query {
            refuse_in_url(&params, &SECRETS[..1])?;
        }
        let authorization = self.authorization()?;
        if authorization.is_none() && body::is_form(self.headers()) {
            // A body that cannot be read has no credential.
            params.extend(self.body(state).await.unwrap_or_default());
        }
        presented(&params, authorization.as_deref().map(bearer))
    }

    /// The valid token of a request that has nothing else to read, so that nothing can be refused.
    fn plain_credential(&self) -> Option<Credential> {
        let has_body = !matches!(self.payload, Payload::None) || self.headers().contains_key(CONTENT_ENCODING);
        if has_body || self.request.uri().query().is_some() {
            return None;
        }
        self.bearer_credential()
    }

    /// The token of the only `Authorization`, if it is well formed.
    fn bearer_credential(&self) -> Option<Credential> {
        let mut lines = self.headers().get_all(AUTHORIZATION);
        let only = lines.next().filter(|_| lines.next().is_none())?;
        bearer(only.to_str().ok()?)?.parse().ok()
    }

    /// The parameters in the query.
    fn query(&self, state: &AppState) -> Result<Params, Problem> {
        let (query, most) = (self.request.uri().query().unwrap_or_default(), state.settings.body.bytes);
        if query.len() > most {
            return Err(Problem::malformed(format!("The query may have at most {most} bytes.")));
        }
        Ok(Params::from_form(query.as_bytes()))
    }

    /// The parameters in the body.
    ///
    /// # Errors
    /// Those of [`body::read`].
    pub async fn body(&mut self, state: &AppState) -> Result<Params, Problem> {
        body::read(self.headers(), self.payload, state.settings.body).await
    }

    fn authorization(&self) -> Result<Option<String>, Problem> {
        let mut lines = self.headers().get_all(AUTHORIZATION);
        let first = lines.next().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
        if lines.next().is_some() {
            return Err(Problem::new(Code::ConflictingCredentials, "Send only one Authorization header."));
        }
        Ok(first)
    }

    /// The parameter in the path, percent-decoded.
    ///
    /// # Errors
    /// `malformed_request` if it is not UTF-8.
    pub fn parameter(&self) -> Result<Cow<'_, str>, Problem> {
        let raw = &self.request.uri().path()[self.parameter.clone()];
        percent_decode_str(raw).decode_utf8().map_err(|_| Problem::malformed("The path must be UTF-8."))
    }

    /// The user in the path.
    ///
    /// # Errors
    /// `not_found` if the parameter is not a positive number.
    pub fn user(&self) -> Result<UserId, Problem> {
        let text = self.parameter().unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number > 0);
        number.map(UserId).ok_or_else(Problem::not_found)
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(header: &str) -> Option<&str> {
    after_scheme(header, "bearer")
}

fn after_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (given, rest) = header.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// User and password of `Authorization: Basic …` (RFC 7617 §2), both form-encoded (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let pair = after_scheme(header, "basic").and_then(|pair| STANDARD.decode(pair).ok())?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some((params::form_decoded(&pair[..colon])?, params::form_decoded(&pair[colon + 1..])?))
}

impl Incoming {
    /// The declared parameters of an endpoint, but for the one in the path. Others are ignored.
    ///
    /// # Errors
    /// `malformed_request` if one of them occurs twice or is not a text.
    pub fn fields(&self, endpoint: &'static Endpoint) -> Result<Fields<'_>, Problem> {
        let sent = endpoint.parameters.iter().filter(|parameter| parameter.place != Place::Path);
        Ok(Fields { endpoint: Some(endpoint), ..self.named(sent.map(|parameter| parameter.name))? })
    }

    /// The fields of the form of a page.
    ///
    /// # Errors
    /// Those of [`fields`](Self::fields).
    pub fn form(&self, names: &[&'static str]) -> Result<Fields<'_>, Problem> {
        self.named(names.iter().copied())
    }

    fn named(&self, names: impl Iterator<Item = &'static str>) -> Result<Fields<'_>, Problem> {
        let texts = names.map(|name| self.params.text(name).map(|text| (name, text)));
        Ok(Fields { endpoint: None, texts: texts.collect::<Result<_, Problem>>()?, errors: Vec::new() })
    }

    /// One parameter as it was sent, for forms that are shown again.
    ///
    /// # Errors
    /// Those of [`fields`](Self::fields).
    pub fn typed(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        self.params.text(name)
    }

    /// The credential, from the header or the body.
    ///
    /// # Errors
    /// `conflicting_credentials` if there are two different ones, `invalid_token` if there is none or it is malformed.
    pub fn credential(&self) -> Result<Credential, Problem> {
        presented(&self.params, self.authorization.as_deref().map(bearer))
    }

    /// The credential of a back end. It may also be HTTP Basic with the application's name as the user and the key as
    /// the password; then the name is returned, too.
    ///
    /// # Errors
    /// Those of [`credential`](Self::credential), and `invalid_token` if the user is not a valid application name.
    pub fn client(&self) -> Result<(Credential, Option<AppName>), Problem> {
        let Some(header) = self.authorization.as_deref().filter(|header| after_scheme(header, "basic").is_some())
        else {
            return Ok((self.credential()?, None));
        };
        let pair = basic(header);
        let credential = presented(&self.params, Some(pair.as_ref().map(|(_, key)| key.as_str())))?;
        let app = pair.and_then(|(app, _)| app.parse().ok()).ok_or(ErrorKind::InvalidToken)?;
        Ok((credential, Some(app)))
    }
}

/// The credential in the header or the parameters. If both have one, they must be equal.
fn presented(params: &Params, in_header: Option<Option<&str>>) -> Result<Credential, Problem> {
    let in_params = params.text("auth_token")?.filter(|text| !text.is_empty());
    let text = match (in_header, in_params) {
        (Some(header), Some(param)) if header != Some(param) => {
            return Err(Problem::new(
                Code::ConflictingCredentials,
                "Send the token either as auth_token or in Authorization.",
            ));
        }
        (header, param) => param.or(header.flatten()),
    };
    text.and_then(|text| text.parse().ok()).ok_or_else(|| ErrorKind::InvalidToken.into())
}

fn refuse_in_url(query: &Params, secrets: &[&'static str]) -> Result<(), Problem> {
    match query.any_of(secrets) {
        Some(name) => Err(Problem::new(Code::TokenInUrl, format!("Send {name} in the request body."))),
        None => Ok(()),
    }
}

/// The parameters of one endpoint while they are parsed. Collects all errors.
pub struct Fields<'a> {
    /// `None` for a page.
    endpoint: Option<&'static Endpoint>,
    texts: Vec<(&'static str, Option<&'a str>)>,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    /// The raw text, or `None` if it is absent.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        debug_assert!(self.texts.iter().any(|(known, _)| *known == name), "{name} is not declared");
        self.texts.iter().find(|(known, _)| *known == name).and_then(|(_, text)| *text)
    }

    /// Records an invalid field.
    pub fn reject(&mut self, field: &'static str, reason: impl Into<String>) {
        self.errors.push(FieldError { field, reason: reason.into() });
    }

    /// Whether an endpoint declares that a parameter is needed in this way.
    fn needs(&self, name: &str, is: impl Fn(Need) -> bool) -> bool {
        let declared = self.endpoint.map(|endpoint| endpoint.parameter(name));
        declared.is_none_or(|parameter| parameter.is_some_and(|parameter| is(parameter.need)))
    }

    /// A parameter that must be present.
    pub fn required<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        debug_assert!(self.needs(name, |need| need != Need::Never), "{name} is declared as optional");
        self.parsed(name)
    }

    /// A parameter that may be absent. An empty text counts as absent, because clients send it for "unknown".
    pub fn optional<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        if self.text(name).is_some_and(str::is_empty) { None } else { self.given(name) }
    }

    /// A parameter that may be absent, but not empty.
    pub fn given<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        debug_assert!(self.needs(name, |need| need != Need::Always), "{name} is declared as required");
        self.text(name)?;
        self.parsed(name)
    }

    fn parsed<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        match self.text(name).map(str::parse::<T>) {
            None => {
                self.reject(name, "is missing");
                None
            }
            Some(Err(why)) => {
                self.reject(name, why.to_string());
                None
            }
            Some(Ok(value)) => Some(value),
        }
    }

    /// `mobile_os`, which must be present.
    pub fn required_mobile_os(&mut self) -> Option<MobileOs> {
        if self.text("mobile_os").is_some() {
            return self.required("mobile_os");
        }
        self.reject("mobile_os", "is missing; send ios or android");
        None
    }

    /// Builds a message from the parsed fields.
    ///
    /// # Errors
    /// `invalid_parameters` with every invalid field.
    pub fn build<T>(self, message: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        let refused = |errors| Problem::from(ErrorKind::InvalidParameters(errors));
        if self.errors.is_empty() { message().ok_or_else(|| refused(Vec::new())) } else { Err(refused(self.errors)) }
    }
}

/// A text of 1 to 255 characters, for parameters without a type of their own.
pub struct ShortText(pub String);

impl ShortText {
    pub const LONGEST: usize = 255;
}

impl FromStr for ShortText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.chars().count() {
            0 => Err(Invalid("must not be empty")),
            1..=Self::LONGEST => Ok(Self(text.to_owned())),
            _ => Err(Invalid("must have at most 255 characters")),
        }
    }
}

/// A language tag (BCP 47). A language that we do not support is valid and becomes `None`.
pub struct Language(pub Option<Locale>);

impl Language {
    pub const LONGEST: usize = 255;
}

impl FromStr for Language {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let tag = text.len() <= Self::LONGEST && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if tag { Ok(Self(text.parse().ok())) } else { Err(Invalid("must be a language tag")) }
    }
}

/// `true` or `false`.
pub struct Flag(pub bool);

impl FromStr for Flag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| Invalid("must be true or false"))
    }
}
