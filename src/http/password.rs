//! `PUT /password`: sets a new password, by the current password or by the token of a reset link.

use super::dispatch::{Weight, caller};
use super::endpoint::{A_TOKEN, Access, Endpoint, Group, Kind, Parameter, Reply};
use super::error::Code;
use super::extract::{Call, ShortText};
use super::route::{Answer, message};
use super::state::AppState;
use portcullis_actors::account::ChangePassword;
use portcullis_actors::domain::{Password, ResetToken};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::verification::FinishReset;

pub static SET: Endpoint = Endpoint {
    id: "setPassword",
    group: Group::Passwords,
    summary: "Set a new password.",
    description: "With a credential and `current_password` the other sessions end. With the `reset_token` of a mailed link no \
                  credential is needed, and all sessions end. A wrong `current_password` is an invalid parameter.",
    access: Access::USER.or_open(),
    parameters: &[
        Parameter::required("password", Kind::Text(Password::LONGEST), "The new password.", "an umbrella for the moon"),
        Parameter::optional("current_password", Kind::Text(Password::LONGEST), "The password until now.", "password")
            .unless("reset_token"),
        Parameter::optional("reset_token", Kind::Text(ShortText::LONGEST), "The last part of a reset link.", A_TOKEN),
    ],
    answers: &[Reply::message("The new password counts.", "Your password was changed.")],
    errors: &[Code::ResetTokenInvalid, Code::PasswordUnacceptable, Code::TooManyAttempts],
};

/// A reset token needs no other credential. Without one, a user token and the current password are required.
pub async fn set(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let (caller, _guard) = caller();
    let mut fields = incoming.fields(&SET)?;
    if fields.text("reset_token").is_some() {
        let token = fields.given("reset_token");
        let password = fields.required("password");
        if fields.text("current_password").is_some() {
            fields.reject("current_password", "must not be sent together with reset_token");
        }
        let (ShortText(token), password) = fields.build(|| token.zip(password))?;
        let token: ResetToken = token.parse().map_err(|_| ErrorKind::ResetTokenInvalid)?;
        let reset = FinishReset { token, password, caller };
        state.dispatcher.ask(Weight::Costly, &state.ports.finish_reset, reset).await?;
    } else {
        let credential = incoming.credential()?;
        let current = fields.required("current_password");
        let new = fields.required("password");
        let change = fields.build(|| Some(ChangePassword { credential, current: current?, new: new?, caller }))?;
        state.dispatcher.ask(Weight::Costly, &state.ports.change_password, change).await?;
    }
    message(&SET)
}
