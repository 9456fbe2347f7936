//! A transport that keeps messages in memory: the mailbox of development and of load tests. Not for production.

use super::{Accepted, Mail, SendError, Sms, Transport};
use crate::clock::{Clock, Timestamp};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A message as its recipient would see it.
#[derive(Clone)]
pub struct InboxMessage {
    /// Counts up from 1.
    pub id: u64,
    pub received: Timestamp,
    /// `mail` or `sms`.
    pub channel: &'static str,
    pub kind: &'static str,
    pub to: String,
    /// `None` for an SMS.
    pub subject: Option<String>,
    pub text: String,
    /// `None` for an SMS.
    pub html: Option<String>,
}

/// The newest messages. Clones share them.
#[derive(Clone)]
pub struct Inbox {
    limit: usize,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    messages: VecDeque<InboxMessage>,
}

impl Inbox {
    /// Keeps the newest `limit` messages.
    pub fn new(limit: usize, clock: Arc<dyn Clock>) -> Self {
        Self { limit: limit.max(1), clock, kept: Arc::default() }
    }

    /// The kept messages, newest first.
    pub fn newest_first(&self) -> Vec<InboxMessage> {
        self.kept().messages.iter().rev().cloned().collect()
    }

    /// One message; `None` if it is not kept any more.
    pub fn message(&self, id: u64) -> Option<InboxMessage> {
        self.kept().messages.iter().find(|message| message.id == id).cloned()
    }

    /// Forgets the kept messages. Ids go on.
    pub fn clear(&self) {
        self.kept().messages.clear();
    }

    /// The number of all messages so far.
    pub fn received(&self) -> u64 {
        self.kept().last
    }

    /// Deletes the messages to these addresses and numbers.
    pub fn forget(&self, recipients: &[String]) {
        self.kept().messages.retain(|message| !recipients.contains(&message.to));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, message: InboxMessage) -> Accepted {
        let mut kept = self.kept();
        kept.last += 1;
        let id = kept.last;
        if kept.messages.len() == self.limit {
            kept.messages.pop_front();
        }
        kept.messages.push_back(InboxMessage { id, ..message });
        Accepted { reference: Some(format!("inbox-{id}")) }
    }
}

#[async_trait]
impl Transport<Mail> for Inbox {
    fn name(&self) -> &str {
        "inbox"
    }

    async fn send(&self, mail: &Mail) -> Result<Accepted, SendError> {
        Ok(self.keep(InboxMessage {
            id: 0,
            received: self.clock.now(),
            channel: "mail",
            kind: mail.kind,
            to: mail.to.as_str().to_owned(),
            subject: Some(mail.subject.as_str().to_owned()),
            text: mail.text.clone(),
            html: Some(mail.html.clone()),
        }))
    }
}

#[async_trait]
impl Transport<Sms> for Inbox {
    fn name(&self) -> &str {
        "inbox"
    }

    async fn send(&self, sms: &Sms) -> Result<Accepted, SendError> {
        Ok(self.keep(InboxMessage {
            id: 0,
            received: self.clock.now(),
            channel: "sms",
            kind: sms.kind,
            to: sms.to.as_str().to_owned(),
            subject: None,
            text: sms.text.clone(),
            html: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::Phone;

    #[tokio::test]
    async fn the_newest_are_kept_and_shown_first() {
        let inbox = Inbox::new(2, Arc::new(SystemClock));
        let receive = async |text: &str| {
            let to = Phone::parse("+12125550123", "US").expect("possible");
            let sms = Sms { kind: "phone_code", to, from: None, text: text.to_owned() };
            inbox.send(&sms).await.expect("an inbox takes everything");
        };
        for text in ["one", "two", "three"] {
            receive(text).await;
        }
        let texts: Vec<_> = inbox.newest_first().into_iter().map(|message| (message.id, message.text)).collect();
        assert_eq!(texts, [(3, "three".to_owned()), (2, "two".to_owned())]);
        assert_eq!(inbox.received(), 3);
        assert_eq!(inbox.message(2).map(|message| message.text).as_deref(), Some("two"));
        assert!(inbox.message(1).is_none());
        inbox.forget(&["+12125550199".to_owned(), "ada@example.com".to_owned()]);
        assert_eq!(inbox.newest_first().len(), 2);
        inbox.forget(&["+12125550123".to_owned()]);
        assert!(inbox.newest_first().is_empty());
        receive("four").await;
        inbox.clear();
        assert_eq!((inbox.newest_first().len(), inbox.received()), (0, 4));
    }
}
