//! What SMS providers report: `POST /callbacks/sms/:provider`. Whether a provider signed it, the notifier says.

use super::dispatch::Weight;
use super::error::Problem;
use super::extract::last_segment;
use super::routes::Answer;
use super::{AppState, body};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use portcullis_actors::notifier::RecordReport;

/// Takes a form as Twilio sends it; 204 for every report that is genuine, whatever it changed.
pub async fn sms(state: Data<AppState>, request: HttpRequest, payload: Payload) -> Answer {
    let params = body::read(request.headers(), &mut payload.into_inner(), state.settings.body).await?;
    let signature = request.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let ask = RecordReport {
        provider: last_segment(&request)?,
        signature: signature.unwrap_or_default().to_owned(),
        params: params.into_texts().ok_or_else(|| Problem::malformed("A report is made of texts."))?,
    };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.record_report, ask).await?;
    Ok(HttpResponse::NoContent().finish())
}
