//! `PUT /password`: a new password by the current one, or by the token of a reset link.

use super::AppState;
use super::dispatch::{Weight, caller};
use super::extract::{Incoming, ShortText};
use super::routes::{Answer, message};
use actix_web::web::Data;
use portcullis_actors::account::ChangePassword;
use portcullis_actors::domain::ResetToken;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::verification::FinishReset;

/// Who has a reset token needs no other credential; who has none shows a user token and the current password.
pub async fn set(state: Data<AppState>, incoming: Incoming) -> Answer {
    let (caller, _waits) = caller();
    let mut fields = incoming.fields(&["password", "current_password", "reset_token"])?;
    if fields.text("reset_token").is_some() {
        let token = fields.need("reset_token");
        let password = fields.need("password");
        if fields.text("current_password").is_some() {
            fields.refuse("current_password", "is not asked for beside a reset_token");
        }
        let (ShortText(token), password) = fields.make(|| token.zip(password))?;
        let token: ResetToken = token.parse().map_err(|_| ErrorKind::ResetTokenInvalid)?;
        state
            .dispatcher
            .ask(Weight::Costly, &state.ports.finish_reset, FinishReset { token, password, caller })
            .await?;
    } else {
        let credential = incoming.credential()?;
        let current = fields.need("current_password");
        let new = fields.need("password");
        let ask = fields.make(|| Some(ChangePassword { credential, current: current?, new: new?, caller }))?;
        state.dispatcher.ask(Weight::Costly, &state.ports.change_password, ask).await?;
    }
    message("Your password was changed.")
}
