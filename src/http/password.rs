//! `PUT /password`: sets a new password, by the current password or by the token of a reset link.

use super::dispatch::{Weight, caller};
use super::extract::{Call, ShortText};
use super::route::{Answer, message};
use super::state::AppState;
use portcullis_actors::account::ChangePassword;
use portcullis_actors::domain::ResetToken;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::verification::FinishReset;

/// A reset token needs no other credential. Without one, a user token and the current password are required.
pub async fn set(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let (caller, _guard) = caller();
    let mut fields = incoming.fields(&["password", "current_password", "reset_token"])?;
    if fields.text("reset_token").is_some() {
        let token = fields.required("reset_token");
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
    message("Your password was changed.")
}
