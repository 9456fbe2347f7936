//! The contacts service of the API reference, `GET /api/v1/contacts.json`: the smallest neighbour that knows whose a request
//! is. It has no accounts and keeps nothing of a credential, and comes in two forms:
//!
//! - [`behind_gateway`]: a proxy has asked Portcullis and says whose the request is (see `config/gateway`).
//! - [`asking`]: it asks itself by introspection (RFC 7662), at each request, so that a revoked key ends at once. It also
//!   takes `auth_token` in the body, which no proxy sends with its question.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::time::Duration;

const PATH: &str = "/api/v1/contacts.json";

/// The user id of whoever asks.
type Owner = i64;

/// The service behind a proxy. Whoever reaches it may say who they are, so it must listen where only the proxy is: on
/// loopback, and it refuses all other addresses.
pub fn behind_gateway() -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let answer = async |request: HttpRequest| named_by_proxy(&request).map(contacts);
    move |service| {
        service.route(PATH, web::get().to(answer));
    }
}

/// The service that asks this Portcullis.
pub fn asking(portcullis: Portcullis) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let answer = async |request: HttpRequest, body: Option<web::Form<Body>>, portcullis: web::Data<Portcullis>| {
        let token = presented(&request, body.and_then(|body| body.into_inner().auth_token))?;
        portcullis.owner_of(&token).await.map(contacts)
    };
    move |service| {
        service.app_data(web::Data::new(portcullis.clone())).route(PATH, web::get().to(answer));
    }
}

/// Sample data: two contacts of each owner.
fn contacts(owner: Owner) -> HttpResponse {
    let contact = |n: Owner| json!({ "id": owner * 10 + n, "owner_id": owner, "name": format!("contact-{n}") });
    HttpResponse::Ok().json([contact(1), contact(2)])
}

fn named_by_proxy(request: &HttpRequest) -> Result<Owner, Refusal> {
    if !request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()) {
        return Err(Refusal::NotAllowed);
    }
    let mut named = request.headers().get_all("x-auth-user-id");
    let only = named.next().filter(|_| named.next().is_none());
    only.and_then(|owner| owner.to_str().ok()?.parse().ok()).ok_or(Refusal::Unknown)
}

#[derive(Deserialize)]
struct Body {
    auth_token: Option<String>,
}

/// The token of the request, which has exactly one.
fn presented(request: &HttpRequest, in_body: Option<String>) -> Result<String, Refusal> {
    let in_headers = request.headers().get_all(AUTHORIZATION);
    let in_headers = in_headers.map(|line| Some(line.to_str().ok()?.strip_prefix("Bearer ")?.to_owned()));
    let mut all = in_headers.chain(in_body.map(Some));
    all.next().filter(|_| all.next().is_none()).flatten().ok_or(Refusal::Unknown)
}

/// The Portcullis that is asked, and as whom.
#[derive(Clone)]
pub struct Portcullis {
    introspect: String,
    key: String,
    client: Client,
}

/// The answer of RFC 7662 §2.2.
#[derive(Deserialize)]
struct Introspection {
    active: bool,
    sub: Option<String>,
    /// Server keys have one, tokens of users have none.
    scope: Option<String>,
}

impl Portcullis {
    /// At `url`, asked with a server key of this service, which has `tokens:introspect` and is of the same application as
    /// the tokens.
    ///
    /// # Errors
    /// When the system gives a client no resources.
    pub fn new(url: &str, key: &str) -> reqwest::Result<Self> {
        // An error means that it is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(2)).no_proxy().build()?;
        Ok(Self { introspect: format!("{url}/api/v1/tokens/introspect"), key: key.to_owned(), client })
    }

    async fn owner_of(&self, token: &str) -> Result<Owner, Refusal> {
        let request = self.client.post(&self.introspect).bearer_auth(&self.key).form(&[("token", token)]);
        let answer = async { request.send().await?.error_for_status()?.json::<Introspection>().await };
        let found = answer.await.map_err(|error| {
            // Without the URL, which is all that it could tell of the request.
            eprintln!("Portcullis did not say whose a request is: {}", error.without_url());
            Refusal::Unavailable
        })?;
        match found {
            Introspection { active: true, scope: Some(scope), .. }
                if !scope.split(' ').any(|one| one == "owner:act") =>
            {
                Err(Refusal::NotAllowed)
            }
            Introspection { active: true, sub: Some(owner), .. } => owner.parse().map_err(|_| Refusal::Unknown),
            _ => Err(Refusal::Unknown),
        }
    }
}

/// Why nothing is answered.
#[derive(Debug)]
enum Refusal {
    /// No token, or a dead one.
    Unknown,
    /// A key that does not act for its owner, or a stranger on the network of the proxy.
    NotAllowed,
    /// Portcullis did not answer: nobody is let in.
    Unavailable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "invalid_token",
            Self::NotAllowed => "forbidden",
            Self::Unavailable => "dependency_unavailable",
        })
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Self::Unknown => drop(answer.insert_header((WWW_AUTHENTICATE, "Bearer"))),
            Self::NotAllowed => {}
            Self::Unavailable => drop(answer.insert_header((RETRY_AFTER, 1))),
        }
        answer.json(json!({ "code": self.to_string() }))
    }
}
