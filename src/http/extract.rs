//! What handlers are given of a request: its parameters, its credential, its address and language.
//!
//! Order of refusals: what cannot be read (400, 413, 415) comes first, then the credential (401), then parameters
//! that cannot be (422), all of them at once. May name `portcullis_actors::domain`; knows no endpoint.

use super::error::{Code, Problem};
use super::params::{self, Params};
use super::{AppState, body, peer};
use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT_LANGUAGE, AUTHORIZATION};
use actix_web::{FromRequest, HttpRequest, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use portcullis_actors::domain::{AppName, Credential, Invalid, Locale, MobileOs, UserId};
use portcullis_actors::error::{ErrorKind, FieldError};
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::str::FromStr;

/// Parameters that must not stand in a query string: those end in logs and histories (RFC 6750 §5.3).
const SECRETS: [&str; 5] = ["auth_token", "password", "current_password", "token", "reset_token"];

/// A request, read and not yet judged.
pub struct Incoming {
    params: Params,
    authorization: Option<String>,
    /// The client's address.
    pub peer: IpAddr,
    /// The best language of `Accept-Language` that messages are written in.
    pub language: Option<Locale>,
}

impl FromRequest for Incoming {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let settings = &state(&request)?.settings;
            let mut params = Params::from_form(request.query_string().as_bytes());
            let secrets = if settings.token_in_query { &SECRETS[1..] } else { &SECRETS };
            if let Some(name) = params.any_of(secrets) {
                return Err(Problem::new(Code::TokenInUrl, format!("Send {name} in the body.")));
            }
            params.extend(body::read(request.headers(), &mut payload, settings.body).await?);
            let language = request.headers().get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok());
            Ok(Self {
                params,
                authorization: authorization(&request)?,
                peer: peer::address(&request, &settings.trusted_proxies),
                language: language.and_then(Locale::from_accept_language),
            })
        })
    }
}

/// What the routes stand on; there wherever the routes are.
fn state(request: &HttpRequest) -> Result<&web::Data<AppState>, Problem> {
    request.app_data::<web::Data<AppState>>().ok_or_else(Problem::not_found)
}

fn authorization(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut lines = request.headers().get_all(AUTHORIZATION);
    let first = lines.next().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
    if lines.next().is_some() {
        return Err(Problem::new(Code::ConflictingCredentials, "Send one Authorization header."));
    }
    Ok(first)
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(header: &str) -> Option<&str> {
    of_scheme(header, "bearer")
}

fn of_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (given, rest) = header.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// The client's name and password of `Authorization: Basic …` (RFC 7617 §2), each written as in a form
/// (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let pair = of_scheme(header, "basic").and_then(|pair| STANDARD.decode(pair).ok())?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some((params::form_decoded(&pair[..colon])?, params::form_decoded(&pair[colon + 1..])?))
}

impl Incoming {
    /// The parameters an endpoint knows; the others are ignored.
    ///
    /// # Errors
    /// `malformed_request` when one of them came twice or is no text.
    pub fn fields(&self, names: &[&'static str]) -> Result<Fields<'_>, Problem> {
        let text = |name: &&'static str| self.params.text(name).map(|text| (*name, text));
        let texts = names.iter().map(text).collect::<Result<_, Problem>>()?;
        Ok(Fields { texts, errors: Vec::new() })
    }

    /// The credential, in either form.
    ///
    /// # Errors
    /// `conflicting_credentials` when there are two that differ, `invalid_token` when there is none or it cannot be one.
    pub fn credential(&self) -> Result<Credential, Problem> {
        self.presented(self.authorization.as_deref().map(bearer))
    }

    /// The credential of a back end, which may come as HTTP Basic too: user is the application's name, which comes
    /// with it, and password the key.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential); and `invalid_token` when the user cannot be an application.
    pub fn client(&self) -> Result<(Credential, Option<AppName>), Problem> {
        let Some(header) = self.authorization.as_deref().filter(|header| of_scheme(header, "basic").is_some()) else {
            return Ok((self.credential()?, None));
        };
        let pair = basic(header);
        let credential = self.presented(Some(pair.as_ref().map(|(_, key)| key.as_str())))?;
        let app = pair.and_then(|(app, _)| app.parse().ok()).ok_or(ErrorKind::InvalidToken)?;
        Ok((credential, Some(app)))
    }

    /// What the header and the body say, which must be the same if both say something.
    fn presented(&self, in_header: Option<Option<&str>>) -> Result<Credential, Problem> {
        let in_body = self.params.text("auth_token")?.filter(|text| !text.is_empty());
        let text = match (in_header, in_body) {
            (Some(header), Some(body)) if header != Some(body) => {
                return Err(Problem::new(
                    Code::ConflictingCredentials,
                    "Send the token as auth_token or in Authorization, not both.",
                ));
            }
            (header, body) => body.or(header.flatten()),
        };
        text.and_then(|text| text.parse().ok()).ok_or_else(|| ErrorKind::InvalidToken.into())
    }
}

/// The parameters of one endpoint, being turned into values; what cannot be is collected.
pub struct Fields<'a> {
    texts: Vec<(&'static str, Option<&'a str>)>,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    /// The text as it came; `None` if it was not given.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| *known == name).and_then(|(_, text)| *text)
    }

    /// Notes that a field cannot be.
    pub fn refuse(&mut self, field: &'static str, reason: impl Into<String>) {
        self.errors.push(FieldError { field, reason: reason.into() });
    }

    /// A parameter that must be given.
    pub fn need<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        match self.text(name).map(str::parse::<T>) {
            None => {
                self.refuse(name, "is missing");
                None
            }
            Some(Err(why)) => {
                self.refuse(name, why.to_string());
                None
            }
            Some(Ok(value)) => Some(value),
        }
    }

    /// A parameter that may be given; an empty text counts as not given, as clients send it for "unknown".
    pub fn may<T: FromStr<Err = Invalid>>(&mut self, name: &'static str) -> Option<T> {
        if self.text(name).is_none_or(str::is_empty) { None } else { self.need(name) }
    }

    /// `mobile_os`, which must be given.
    pub fn need_mobile_os(&mut self) -> Option<MobileOs> {
        if self.text("mobile_os").is_some() {
            return self.need("mobile_os");
        }
        self.refuse("mobile_os", "is missing; send ios or android");
        None
    }

    /// What the fields make together.
    ///
    /// # Errors
    /// `invalid_parameters` with every field that cannot be.
    pub fn make<T>(self, made: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        let refused = |errors| Problem::from(ErrorKind::InvalidParameters(errors));
        if self.errors.is_empty() { made().ok_or_else(|| refused(Vec::new())) } else { Err(refused(self.errors)) }
    }
}

/// Any text of at most 255 characters: what has no type of its own at the edge.
pub struct ShortText(pub String);

impl FromStr for ShortText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.chars().count() {
            0 => Err(Invalid("is empty")),
            1..=255 => Ok(Self(text.to_owned())),
            _ => Err(Invalid("is longer than 255 characters")),
        }
    }
}

/// A language tag (BCP 47): one of ours, or one that we do not write in, which is no mistake.
pub struct Language(pub Option<Locale>);

impl FromStr for Language {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let tag = text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if tag { Ok(Self(text.parse().ok())) } else { Err(Invalid("is not a language tag")) }
    }
}

/// The user named in the path; whatever is no positive number is nobody.
pub struct UserInPath(pub UserId);

impl FromRequest for UserInPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.match_info().get("user_id").unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number > 0);
        ready(number.map(|number| Self(UserId(number))).ok_or_else(Problem::not_found))
    }
}

/// The last segment of the path, percent-decoded.
///
/// # Errors
/// `malformed_request` when it is not UTF-8.
pub fn last_segment(request: &HttpRequest) -> Result<String, Problem> {
    let raw = request.uri().path().rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode_str(raw).decode_utf8();
    decoded.map(String::from).map_err(|_| Problem::malformed("The path is not UTF-8."))
}
