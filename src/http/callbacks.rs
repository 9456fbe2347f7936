//! Delivery reports of SMS providers: `POST /callbacks/sms/:provider`. The notifier verifies the signature.

use super::dispatch::Weight;
use super::error::Problem;
use super::extract::Call;
use super::route::Answer;
use super::state::AppState;
use actix_web::HttpResponse;
use portcullis_actors::notifier::RecordReport;

/// Takes a form as Twilio sends it. Every genuine report is answered 204, whether it changed anything or not.
pub async fn sms(state: &AppState, mut call: Call<'_>) -> Answer {
    let params = call.body(state).await?;
    let signature = call.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let report = RecordReport {
        provider: call.parameter()?.into_owned(),
        signature: signature.unwrap_or_default().to_owned(),
        params: params.into_texts().ok_or_else(|| Problem::malformed("All parameters of a report must be strings."))?,
    };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.record_report, report).await?;
    Ok(HttpResponse::NoContent().finish())
}
