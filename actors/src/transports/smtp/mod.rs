//! Mail through an SMTP relay: settings, the pool of connections, and what a reply means.
//!
//! The steps of a transaction are taken one by one, because the step at which a server says no tells whose fault it
//! is: before `MAIL` the relay's or ours, at `RCPT` and after `DATA` the message's (RFC 5321 §4.2, §4.3.2).

mod connection;
mod letter;
mod verdict;

use super::{Accepted, Mail, SendError, Transport};
use crate::clock::Clock;
use crate::error::StartError;
use async_trait::async_trait;
use connection::{Connection, Relay};
use lettre::Address;
use lettre::message::Mailbox;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use verdict::{Phase, Step};

/// How the relay is reached.
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
    /// The longest a whole send may take.
    pub timeout: Duration,
    /// Connections kept open between sends.
    pub connections: usize,
}

impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSettings").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// A connection nobody used for this long may be dead, and is not kept.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// A relay, and open connections to it.
pub struct SmtpTransport {
    relay: Relay,
    from: Mailbox,
    timeout: Duration,
    most_idle: usize,
    idle: Mutex<Vec<(Connection, Instant)>>,
    clock: Arc<dyn Clock>,
}

impl SmtpTransport {
    /// Checks the settings; connects to nobody.
    ///
    /// # Errors
    /// One clear line that names the setting; never the URL, which may hold a password.
    pub fn new(settings: SmtpSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let fault = |text: &str| StartError(format!("mail: {text}"));
        let from = settings.from.parse().map_err(|_| fault("from is not an address"))?;
        let relay = Relay::new(&settings).map_err(|text| fault(&text))?;
        let (timeout, most_idle) = (settings.timeout, settings.connections);
        Ok(Self { relay, from, timeout, most_idle, idle: Mutex::default(), clock })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.most_idle {
            idle.push((connection, Instant::now()));
        }
    }

    async fn deliver(&self, letter: &letter::Letter, progress: &Phase) -> Result<Accepted, SendError> {
        if let Some(mut connection) = self.take_idle() {
            let sent = connection.transact(letter, progress).await;
            let died = sent.as_ref().is_err_and(verdict::is_dead_connection);
            if !(died && progress.step() < Step::Content) {
                return self.conclude(connection, sent, letter, progress).await;
            }
            // The relay closed it while it lay here: that says nothing, and costs one more try.
        }
        let mut connection = self.relay.connect(progress).await?;
        let sent = connection.transact(letter, progress).await;
        self.conclude(connection, sent, letter, progress).await
    }

    async fn conclude(
        &self,
        mut connection: Connection,
        sent: Result<Accepted, lettre::transport::smtp::Error>,
        letter: &letter::Letter,
        progress: &Phase,
    ) -> Result<Accepted, SendError> {
        match sent {
            Ok(receipt) => {
                self.keep(connection);
                Ok(receipt)
            }
            Err(error) => {
                // A refused recipient costs no connection.
                if error.status().is_some() && !verdict::is_dead_connection(&error) && connection.reset().await {
                    self.keep(connection);
                }
                Err(verdict::of(&error, progress.step(), letter.own_sender))
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
        let letter = letter::Letter::write(mail, &self.from, self.clock.now())?;
        let progress = Phase::default();
        match tokio::time::timeout(self.timeout, self.deliver(&letter, &progress)).await {
            Ok(answer) => answer,
            Err(_) => Err(verdict::of_silence(progress.step())),
        }
    }

    /// Connects, encrypts, logs in, and says goodbye.
    async fn probe(&self) -> Result<(), SendError> {
        let progress = Phase::default();
        match tokio::time::timeout(self.timeout, self.relay.connect(&progress)).await {
            Ok(connected) => {
                connected?.quit().await;
                Ok(())
            }
            Err(_) => Err(verdict::of_silence(progress.step())),
        }
    }

    /// Says goodbye on the open connections.
    async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        let goodbyes = idle.into_iter().map(|(connection, _)| connection.quit());
        futures_util::future::join_all(goodbyes).await;
    }
}

/// Whether a text can be the sender of a mail: `Name <address>` or an address.
pub fn is_mail_sender(text: &str) -> bool {
    sender(text).is_some()
}

fn sender(text: &str) -> Option<Mailbox> {
    text.parse().ok()
}

/// An address that was parsed before.
fn address(email: &crate::domain::Email) -> Option<Address> {
    email.as_str().parse().ok()
}
