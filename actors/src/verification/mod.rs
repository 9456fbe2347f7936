//! Phone codes and password resets: proving a possession.

mod messages;
mod policy;

pub use messages::{FinishReset, InspectReset, IssueCode, IssueReset, Observe, VerificationSnapshot, VerifyCode};
pub use policy::{PasswordPolicy, PhonePolicy, ResetPolicy};
