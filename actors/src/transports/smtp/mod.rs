//! Mail through an SMTP relay: settings, the pool of connections, and the classification of replies.
//!
//! A transaction runs step by step, because the step at which the server refuses tells whose fault it is: before `MAIL`
//! the relay's or ours, at `RCPT` and after `DATA` the message's (RFC 5321 §4.2, §4.3.2).

mod connection;
mod letter;
mod reply;

use super::{Accepted, Mail, SendError, Transport};
use crate::clock::Clock;
use crate::domain::redacted_debug;
use crate::error::StartError;
use async_trait::async_trait;
use connection::{Connection, Relay};
use lettre::Address;
use lettre::message::Mailbox;
use reply::{Phase, Step};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The relay, and how to use it.
#[derive(Clone)]
pub struct SmtpSettings {
    /// `smtps://user:password@host`, `smtp://host:port?tls=required`, `smtp://127.0.0.1:1025`; a path is the EHLO name.
    pub url: String,
    /// The sender: `Name <address>` or an address.
    pub from: String,
    /// Plain text, or TLS only if offered, is allowed beyond this machine.
    pub allow_plaintext: bool,
    /// A certificate authority to trust besides the system's, as PEM.
    pub extra_root: Option<Vec<u8>>,
    /// The time-out of a whole send.
    pub timeout: Duration,
    /// Connections kept open between sends.
    pub connections: usize,
}

redacted_debug!(SmtpSettings);

/// A connection that was idle for this long may be dead. It is closed.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// A relay, and open connections to it.
pub struct SmtpTransport {
    relay: Relay,
    from: Mailbox,
    timeout: Duration,
    max_idle: usize,
    idle: Mutex<Vec<(Connection, Instant)>>,
    clock: Arc<dyn Clock>,
}

impl SmtpTransport {
    /// Checks the settings; does not connect.
    ///
    /// # Errors
    /// One line that names the setting; never the URL, which may hold a password.
    pub fn new(settings: SmtpSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let fault = |text: &str| StartError(format!("mail: {text}"));
        let from = settings.from.parse().map_err(|_| fault("from is not an address"))?;
        let relay = Relay::new(&settings).map_err(|text| fault(&text))?;
        let (timeout, max_idle) = (settings.timeout, settings.connections);
        Ok(Self { relay, from, timeout, max_idle, idle: Mutex::default(), clock })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|(_, since)| since.elapsed() < MAX_IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.max_idle {
            idle.push((connection, Instant::now()));
        }
    }

    async fn deliver(&self, letter: &letter::EncodedMail, phase: &Phase) -> Result<Accepted, SendError> {
        if let Some(mut connection) = self.take_idle() {
            let sent = connection.transact(letter, phase).await;
            let died = sent.as_ref().is_err_and(reply::is_dead_connection);
            if !(died && phase.step() < Step::Content) {
                return self.conclude(connection, sent, letter, phase).await;
            }
            // The relay closed the idle connection. That is no failure; a new connection follows.
        }
        let mut connection = self.relay.connect(phase).await?;
        let sent = connection.transact(letter, phase).await;
        self.conclude(connection, sent, letter, phase).await
    }

    async fn conclude(
        &self,
        mut connection: Connection,
        sent: Result<Accepted, lettre::transport::smtp::Error>,
        letter: &letter::EncodedMail,
        phase: &Phase,
    ) -> Result<Accepted, SendError> {
        match sent {
            Ok(accepted) => {
                self.keep(connection);
                Ok(accepted)
            }
            Err(error) => {
                // A refused recipient does not cost the connection.
                if error.status().is_some() && !reply::is_dead_connection(&error) && connection.reset().await {
                    self.keep(connection);
                }
                Err(reply::classify(&error, phase.step(), letter.own_sender))
            }
        }
    }
}

#[async_trait]
impl Transport<Mail> for SmtpTransport {
    fn name(&self) -> &str {
        "smtp"
    }

    async fn send(&self, mail: &Mail) -> Result<Accepted, SendError> {
        let letter = letter::EncodedMail::write(mail, &self.from, self.clock.now())?;
        let phase = Phase::default();
        match tokio::time::timeout(self.timeout, self.deliver(&letter, &phase)).await {
            Ok(answer) => answer,
            Err(_) => Err(reply::timed_out(phase.step())),
        }
    }

    /// Connects, encrypts, logs in, and quits.
    async fn probe(&self) -> Result<(), SendError> {
        let phase = Phase::default();
        match tokio::time::timeout(self.timeout, self.relay.connect(&phase)).await {
            Ok(connected) => {
                connected?.quit().await;
                Ok(())
            }
            Err(_) => Err(reply::timed_out(phase.step())),
        }
    }

    /// Quits the idle connections.
    async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        let quits = idle.into_iter().map(|(connection, _)| connection.quit());
        futures_util::future::join_all(quits).await;
    }
}

/// Whether a text is valid as the sender of a mail: `Name <address>` or an address.
pub fn is_mail_sender(text: &str) -> bool {
    sender(text).is_some()
}

fn sender(text: &str) -> Option<Mailbox> {
    text.parse().ok()
}

fn address(email: &crate::domain::Email) -> Option<Address> {
    email.as_str().parse().ok()
}
