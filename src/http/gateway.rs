//! The question of a proxy before it passes a request on to a neighbour: whose is it? One decision, answered in the form that each proxy
//! expects:
//!
//! - nginx (`auth_request`) passes only on 2xx, 401 and 403, and makes a 500 of anything else. Other refusals are a 403
//!   there, and `X-Auth-Code` says which.
//! - Traefik (`ForwardAuth`) and Caddy (`forward_auth`) return the answer as it is.
//! - Envoy (`ext_authz` over HTTP) adds the path of the request to ours, keeps its method, and passes on 200 alone.
//!
//! Every answer has the identity headers, empty ones too, so that a proxy that copies them never leaves those of a client.
//! The forwarded path and method decide nothing, so nothing that a client says about them is read.

use super::dispatch::Weight;
use super::error::Problem;
use super::extract::Call;
use super::route::Answer;
use super::state::AppState;
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use portcullis_actors::domain::KeyScope;
use portcullis_actors::session::Admit;

const USER_ID: HeaderName = HeaderName::from_static("x-auth-user-id");
const APP_ID: HeaderName = HeaderName::from_static("x-auth-app-id");
/// Those of a server key, separated by spaces; empty for a user's own token.
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
/// The code of a refusal.
const CODE: HeaderName = HeaderName::from_static("x-auth-code");

/// `/gateway/nginx`
pub async fn nginx(state: &AppState, call: Call<'_>) -> Answer {
    forward(state, call).await.map_err(|problem| match problem.status {
        StatusCode::UNAUTHORIZED => problem,
        _ => Problem { status: StatusCode::FORBIDDEN, ..problem },
    })
}

/// `/gateway/forward` and `/gateway/envoy/…`
pub async fn forward(state: &AppState, call: Call<'_>) -> Answer {
    admitted(state, call).await.map_err(|mut problem| {
        let empty = [USER_ID, APP_ID, SCOPES].map(|name| (name, HeaderValue::from_static("")));
        problem.headers.extend(empty);
        problem.headers.push((CODE, HeaderValue::from_static(problem.code.as_str())));
        problem
    })
}

async fn admitted(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = Admit(call.forwarded_credential(state).await?);
    let admitted = state.dispatcher.ask(Weight::Ordinary, &state.ports.admit, ask).await?;
    let mut answer = HttpResponse::with_body(StatusCode::OK, BoxBody::new(()));
    let headers = answer.headers_mut();
    headers.insert(USER_ID, HeaderValue::from(admitted.user.0));
    headers.insert(APP_ID, value(admitted.app.as_str())?);
    headers.insert(SCOPES, value(&KeyScope::join(&admitted.scopes))?);
    Ok(answer)
}

/// Names of applications and scopes have no characters that a header must not have.
fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::overloaded())
}
