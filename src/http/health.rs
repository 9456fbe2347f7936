//! Liveness and readiness, for process supervisors and load balancers.

use super::error::Code;
use super::extract::Call;
use super::route::{self, Answer};
use super::state::AppState;
use actix_web::HttpResponse;
use portcullis_actors::error::Dependency;
use serde_json::json;

/// `GET /health/live`: the process answers.
pub async fn live(_: &AppState, _: Call<'_>) -> Answer {
    route::json(&json!({ "status": "live" }))
}

/// `GET /health/ready`: 200 if the stores answer, or 503 with the names of those that do not.
pub async fn ready(state: &AppState, _: Call<'_>) -> Answer {
    let failing: Vec<String> = state.readiness.failing().await.iter().map(Dependency::to_string).collect();
    if failing.is_empty() {
        route::json(&json!({ "status": "ready" }))
    } else {
        let mut answer =
            HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable", "failing": failing }));
        answer.extensions_mut().insert(Code::DependencyUnavailable);
        Ok(answer)
    }
}
