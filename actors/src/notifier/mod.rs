//! Deliveries: mail and SMS leave through an outbox that loses nothing.

mod messages;
mod outbox;

pub use messages::Wake;
pub use outbox::{Destination, MessageKind, NewMessage, OutboxStore};
