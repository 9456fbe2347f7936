//! Liveness and readiness, for process supervisors and load balancers.

use super::endpoint::{Access, Endpoint, Group, Reply};
use super::error::Code;
use super::extract::Call;
use super::route::{self, Answer};
use super::shape::{Shaped as _, shapes};
use super::state::AppState;
use actix_web::HttpResponse;
use portcullis_actors::error::Dependency;

shapes! {
    /// Whether this node should get requests.
    struct Health {
        /// `live`, `ready` or `unavailable`.
        status: &'static str = "ready",
        #[serde(skip_serializing_if = "Vec::is_empty")]
        /// The stores that do not answer: `database`, `token_store`.
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
    description: "Mail and SMS providers do not count: messages for them wait.",
    access: Access::OPEN,
    parameters: &[],
    answers: &[
        Reply::json("The stores answer.", Health::SHAPE),
        Reply::json("A store does not answer.", Health::SHAPE).status(503),
    ],
    errors: &[],
};

/// `GET /health/ready`: 200 if the stores answer, or 503 with the names of those that do not.
pub async fn ready(state: &AppState, _: Call<'_>) -> Answer {
    let failing: Vec<String> = state.readiness.failing().await.iter().map(Dependency::to_string).collect();
    if failing.is_empty() {
        route::json(&Health { status: "ready", failing })
    } else {
        let mut answer = HttpResponse::ServiceUnavailable().json(Health { status: "unavailable", failing });
        answer.extensions_mut().insert(Code::DependencyUnavailable);
        Ok(answer)
    }
}
