//! What the notifier can be asked.

use actix::Message;

/// Something was queued: look now, do not wait for the next poll.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Wake;
