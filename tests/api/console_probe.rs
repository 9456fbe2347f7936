//! The probe refuses the messages of the console: its pages are tested with the whole server.

use super::probe::ProbeActor;
use actix::{Context, Handler, Message};
use portcullis_actors::administration::{
    AddApplication, ChangeApplication, ChooseDefaultApplication, Enter, ListAllKeys, ListApplications, ListMessages,
    RetryMessage, SearchUsers, ShowKey, ShowMessage, ShowUser, TakeSurvey,
};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::verification::SendReset;

macro_rules! refuses {
    ($($message:ty),+ $(,)?) => {$(
        impl Handler<$message> for ProbeActor {
            type Result = <$message as Message>::Result;
            fn handle(&mut self, _: $message, _: &mut Context<Self>) -> Self::Result {
                Err(ErrorKind::InvalidToken)
            }
        }
    )+};
}

refuses! {
    SendReset,
    Enter, SearchUsers, ShowUser, ListAllKeys, ShowKey, ListMessages, ShowMessage, RetryMessage, ListApplications,
    AddApplication, ChangeApplication, ChooseDefaultApplication, TakeSurvey,
}
