//! Liveness and readiness, for process supervisors and load balancers, and the state of each store, for operators.

use super::endpoint::{Access, Endpoint, Group, Reply};
use super::error::Code;
use super::extract::Call;
use super::instruments::StoreState;
use super::route::{self, Answer};
use super::shape::{Shaped as _, shapes};
use super::state::{AppState, Ready};
use actix_web::HttpResponse;
use serde::Serialize;

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

/// What operators are told of the stores.
#[derive(Serialize)]
struct Stores {
    /// `ok`, or `failing` if one of them fails.
    status: &'static str,
    stores: Vec<Store>,
}

#[derive(Serialize)]
struct Store {
    /// `database` or `token_store`.
    name: String,
    /// `PostgreSQL 15.8`.
    product: String,
    /// `ok` or `failing`.
    status: &'static str,
    /// How long it took to write to it.
    milliseconds: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `GET /health/stores`, for operators: writes to each store. 503 if one of them fails.
pub async fn stores(state: &AppState, _: Call<'_>) -> Answer {
    let stores = state.instruments.stores().await;
    let status = |is_ok| if is_ok { "ok" } else { "failing" };
    let all = stores.iter().all(|store| store.fault.is_none());
    let store = |store: StoreState| Store {
        name: store.store.to_string(),
        product: store.product,
        status: status(store.fault.is_none()),
        milliseconds: store.took.as_millis(),
        reason: store.fault,
    };
    let told = Stores { status: status(all), stores: stores.into_iter().map(store).collect() };
    if all {
        return route::json(&told);
    }
    let mut answer = HttpResponse::ServiceUnavailable().json(told);
    answer.extensions_mut().insert(Code::DependencyUnavailable);
    Ok(answer)
}
