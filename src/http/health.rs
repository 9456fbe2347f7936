//! Liveness and readiness, for whoever starts and balances servers.

use super::AppState;
use actix_web::HttpResponse;
use actix_web::web::Data;
use async_trait::async_trait;
use portcullis_actors::error::Dependency;
use serde_json::json;

/// Asks the stores. SMTP and SMS are not readiness: what they cannot take now waits in the outbox.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// The stores that do not answer, within half a second; empty when all is well.
    async fn failing(&self) -> Vec<Dependency>;
}

/// The process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// The stores answer: 200, or 503 with the names of those that do not.
pub async fn ready(state: Data<AppState>) -> HttpResponse {
    let failing: Vec<String> = state.readiness.failing().await.iter().map(Dependency::to_string).collect();
    if failing.is_empty() {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "unavailable", "failing": failing }))
    }
}
