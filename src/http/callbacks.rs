//! Delivery reports of SMS providers: `POST /callbacks/sms/:provider`. The notifier verifies the signature.

use super::body;
use super::dispatch::Weight;
use super::endpoint::Answer;
use super::error::Problem;
use super::extract::last_segment;
use super::state::AppState;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use portcullis_actors::notifier::RecordReport;

/// Takes a form as Twilio sends it. Every genuine report is answered 204, whether it changed anything or not.
pub async fn sms(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Answer {
    let params = body::read(request.headers(), &mut payload.into_inner(), state.settings.body).await?;
    let signature = request.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let report = RecordReport {
        provider: last_segment(&request)?,
        signature: signature.unwrap_or_default().to_owned(),
        params: params.into_texts().ok_or_else(|| Problem::malformed("All parameters of a report must be strings."))?,
    };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.record_report, report).await?;
    Ok(HttpResponse::NoContent().finish())
}
