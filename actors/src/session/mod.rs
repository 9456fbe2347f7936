//! Sign in, sign out, check, list: who holds which token.

mod messages;
mod policy;

pub use messages::{
    Check, CheckedSession, CloseSession, CloseSessions, Introspect, Introspection, ListSessions, ListedSession,
    Observe, SessionSnapshot, SignIn, SignOut, SignedIn,
};
pub use policy::{LimitPolicy, SessionPolicy};
