//! Liveness and readiness, for process supervisors and load balancers.

use super::endpoint::{Access, Endpoint, Group, Reply};
use super::error::Code;
use super::extract::Call;
use super::route::{self, Answer};
use super::shape::{Shaped as _, shapes};
use super::state::{AppState, Ready};
use actix_web::HttpResponse;

shapes! {
    /// Whether this node should get requests.
    struct Health {
        /// `live`, `ready`, `draining` or `unavailable`.
        status: &'static str = "ready",
        #[serde(skip_serializing_if = "Vec::is_empty")]
        /// The store that does not answer: `token_store`.
        failing: Vec<String>,
    }
}

pub static LIVE: Endpoint = Endpoint {
    id: "live",
    group: Group::Health,
    summary: "Whether the process answers.",
    description: "",
    access: Access::OPEN,
    parameters: &[],
    answers: &[Reply::json("It does.", Health::SHAPE)],
    errors: &[],
};

/// `GET /health/live`: the process answers.
pub async fn live(_: &AppState, _: Call<'_>) -> Answer {
    route::json(&Health { status: "live", failing: Vec::new() })
}

pub static READY: Endpoint = Endpoint {
    id: "ready",
    group: Group::Health,
    summary: "Whether this node should get requests.",
    description: "The database, and the providers of mail and SMS, do not count: without a database checks still go on, and \
                  messages wait. A node that is about to stop says `draining`, and serves requests until it does.",
    access: Access::OPEN,
    parameters: &[],
    answers: &[
        Reply::json("It should.", Health::SHAPE),
        Reply::json("The token store does not answer, or the node is about to stop.", Health::SHAPE).status(503),
    ],
    errors: &[],
};

/// `GET /health/ready`: 200, or 503 if the token store does not answer or the node drains.
pub async fn ready(state: &AppState, _: Call<'_>) -> Answer {
    let not_ready = |health: Health| HttpResponse::ServiceUnavailable().json(health);
    match state.readiness.now().await {
        Ready::Yes => route::json(&Health { status: "ready", failing: Vec::new() }),
        Ready::Draining => Ok(not_ready(Health { status: "draining", failing: Vec::new() })),
        Ready::Without(store) => {
            let mut answer = not_ready(Health { status: "unavailable", failing: vec![store.to_string()] });
            answer.extensions_mut().insert(Code::DependencyUnavailable);
            Ok(answer)
        }
    }
}
