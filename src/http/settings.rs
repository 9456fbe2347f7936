//! Phone verification under `/settings`, in the form that deployed clients use.

use super::dispatch::Weight;
use super::extract::{Call, ShortText};
use super::route::{Answer, message};
use super::state::AppState;
use portcullis_actors::derive::Code;
use portcullis_actors::verification::{IssueCode, VerifyCode};

/// `POST /settings/send_phone_verification`
pub async fn send_code(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&["phone"])?;
    let credential = incoming.credential()?;
    let phone = fields.required("phone");
    let ask = fields.build(|| {
        let ShortText(phone) = phone?;
        Some(IssueCode { credential, phone: with_plus(phone), locale: incoming.language, peer: incoming.peer })
    })?;
    state.dispatcher.ask(Weight::Costly, &state.ports.issue_code, ask).await?;
    message("Verification code sent.")
}

/// In a form, a plus sign that is not escaped means a space (WHATWG URL §5.1): `+1415…` arrives as ` 1415…`.
fn with_plus(phone: String) -> String {
    match phone.strip_prefix(' ') {
        Some(digits) if digits.starts_with(|first: char| first.is_ascii_digit()) => format!("+{digits}"),
        _ => phone,
    }
}

/// `POST /settings/verify_phone`
pub async fn verify_code(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&["token"])?;
    let credential = incoming.credential()?;
    let digits = fields.required("token");
    let ask = fields.build(|| {
        let ShortText(digits) = digits?;
        Some(VerifyCode { credential, code: Code::typed(&digits) })
    })?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.verify_code, ask).await?;
    message("Your number was successfully confirmed.")
}
