//! Phone verification under `/settings`, in the form that deployed clients use.

use super::dispatch::Weight;
use super::endpoint::{Access, Endpoint, Group, Kind, Parameter, Reply};
use super::error;
use super::extract::{Call, ShortText};
use super::route::{Answer, message};
use super::state::AppState;
use portcullis_actors::derive::Code;
use portcullis_actors::verification::{IssueCode, VerifyCode};

pub static SEND_CODE: Endpoint = Endpoint {
    id: "sendPhoneVerification",
    group: Group::Phone,
    summary: "Send a code to a phone number.",
    description: "While a code is valid, the same one is sent again.",
    access: Access::USER,
    parameters: &[Parameter::required(
        "phone",
        Kind::Text(ShortText::LONGEST),
        "A mobile number, as people write it or in the form of E.164.",
        "(123)456-7890",
    )],
    answers: &[Reply::message("A code is on its way.", "Verification code sent.")],
    errors: &[error::Code::RegionNotAllowed, error::Code::TooManyMessages],
};

/// `POST /settings/send_phone_verification`
pub async fn send_code(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&SEND_CODE)?;
    let credential = incoming.credential()?;
    let phone = fields.required("phone");
    let ask = fields.build(|| {
        let ShortText(phone) = phone?;
        Some(IssueCode { credential, phone: with_plus(phone), locale: incoming.language, peer: incoming.peer })
    })?;
    state.dispatcher.ask(Weight::Costly, &state.ports.issue_code, ask).await?;
    message(&SEND_CODE)
}

/// In a form, a plus sign that is not escaped means a space (WHATWG URL §5.1): `+1415…` arrives as ` 1415…`.
fn with_plus(phone: String) -> String {
    match phone.strip_prefix(' ') {
        Some(digits) if digits.starts_with(|first: char| first.is_ascii_digit()) => format!("+{digits}"),
        _ => phone,
    }
}

pub static VERIFY_CODE: Endpoint = Endpoint {
    id: "verifyPhone",
    group: Group::Phone,
    summary: "Verify the phone number with the code.",
    description: "A code has five guesses. When they are used up, the next code can be sent after the time in `Retry-After`.",
    access: Access::USER,
    parameters: &[Parameter::required("token", Kind::Text(ShortText::LONGEST), "The code that was sent.", "1988")],
    answers: &[Reply::message("The number is the user's.", "Your number was successfully confirmed.")],
    errors: &[error::Code::CodeInvalid, error::Code::TooManyAttempts],
};

/// `POST /settings/verify_phone`
pub async fn verify_code(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&VERIFY_CODE)?;
    let credential = incoming.credential()?;
    let digits = fields.required("token");
    let ask = fields.build(|| {
        let ShortText(digits) = digits?;
        Some(VerifyCode { credential, code: Code::typed(&digits) })
    })?;
    state.dispatcher.ask(Weight::Ordinary, &state.ports.verify_code, ask).await?;
    message(&VERIFY_CODE)
}
