//! What SMS providers report: `POST /callbacks/sms/:provider`. Whether a provider signed it, the notifier says.

use super::error::Problem;
use super::extract::last_segment;
use super::gateway::Cost;
use super::routes::Answer;
use super::{Front, body};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use portcullis_actors::notifier::RecordReceipt;

/// Takes a form as Twilio sends it; 204 for every report that is genuine, whatever it changed.
pub async fn sms(front: Data<Front>, request: HttpRequest, payload: Payload) -> Answer {
    let params = body::read(request.headers(), &mut payload.into_inner(), front.settings.body).await?;
    let signature = request.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let ask = RecordReceipt {
        provider: last_segment(&request)?,
        signature: signature.unwrap_or_default().to_owned(),
        params: params.into_texts().ok_or_else(|| Problem::malformed("A report is made of texts."))?,
    };
    front.gateway.ask(Cost::Ordinary, &front.ports.record_receipt, ask).await?;
    Ok(HttpResponse::NoContent().finish())
}
