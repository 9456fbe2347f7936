//! A real SMTP server: aiosmtpd on a free port. It keeps what it receives and misbehaves on demand.

use crate::wait::eventually;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

/// A mail as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub struct ReceivedMail {
    /// `MAIL FROM`.
    pub sender: String,
    /// `RCPT TO`, all of them.
    pub recipients: Vec<String>,
    /// Names and decoded values, in order.
    pub headers: Vec<(String, String)>,
    /// The plain text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// All of it.
    pub raw: String,
    /// The EHLO name.
    pub hello: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The user that had logged in.
    pub login: Option<String>,
}

impl ReceivedMail {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

/// How connections are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Without TLS.
    None,
    /// STARTTLS, required.
    StartTls,
    /// From the first byte.
    Wrapped,
}

/// The misbehaviour of the server; by default none.
#[derive(Clone, Debug, Default)]
pub struct Behaviour(serde_json::Map<String, Value>);

impl Behaviour {
    /// No misbehaviour.
    pub fn good() -> Self {
        Self::default()
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.0.insert(key.to_owned(), value);
        self
    }

    /// The port is closed.
    pub fn closed() -> Self {
        Self::good().with("closed", true.into())
    }

    /// Every login is refused.
    pub fn rejecting_logins() -> Self {
        Self::good().with("auth", true.into())
    }

    /// A stage (`greeting`, `ehlo`, `mail`, `rcpt`, `content`) gives this reply where the recipient (or sender)
    /// contains `only`.
    pub fn replying(stage: &str, reply: &str, only: &str) -> Self {
        Self::good().with(stage, json!({"reply": reply, "only": only}))
    }

    /// A stage waits for so long before its reply.
    pub fn tarpit(stage: &str, delay: Duration, only: &str) -> Self {
        Self::good().with(stage, json!({"delay": delay.as_secs_f64(), "only": only}))
    }

    /// The mail is kept, and the connection is cut instead of a reply.
    pub fn dropping_after_the_dot(only: &str) -> Self {
        Self::good().with("dot", json!({"only": only}))
    }
}

/// How many commands the server has taken, how many connections it had seen by then, and how many were open.
#[derive(Clone, Copy, Default)]
struct Taken {
    commands: u64,
    connections: u64,
    open: u64,
}

/// The server of one test; ended when dropped.
pub struct SmtpServer {
    port: u16,
    mails: Arc<Mutex<Vec<ReceivedMail>>>,
    taken: watch::Receiver<Taken>,
    commands: u64,
    stdin: ChildStdin,
    certificates: Option<Certificates>,
    _child: Child,
}

struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl SmtpServer {
    /// Without TLS or login.
    pub async fn start() -> Self {
        Self::start_with(Tls::None, None, Duration::from_secs(300)).await
    }

    /// `login` is `user:password`. The server closes a connection that is idle for `idle`.
    ///
    /// # Panics
    /// When python3-aiosmtpd is not installed.
    pub async fn start_with(tls: Tls, login: Option<&str>, idle: Duration) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/smtp_server.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).args(["--idle", &idle.as_secs_f64().to_string()]);
        let certificates = (tls != Tls::None).then(certificates);
        if let Some(certificates) = &certificates {
            command.args(["--tls", if tls == Tls::StartTls { "starttls" } else { "wrapped" }]);
            command.arg("--certificate").arg(certificates.path("leaf.pem"));
            command.arg("--key").arg(certificates.path("leaf.key"));
        }
        if let Some(login) = login {
            command.args(["--login", login]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("python3 runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next_line().await.expect("readable").expect("is python3-aiosmtpd installed?");
        let first: Value = serde_json::from_str(&first).expect("JSON");
        let port = first["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        let mails: Arc<Mutex<Vec<ReceivedMail>>> = Arc::default();
        let (sender, taken) = watch::channel(Taken::default());
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let event: Value = serde_json::from_str(&line).expect("JSON");
                if event["event"] == "mail" {
                    let mail = serde_json::from_value(event).expect("a mail");
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                } else {
                    let number = |name: &str| event[name].as_u64().unwrap_or_default();
                    sender.send_modify(|taken| {
                        let (connections, open) = (number("connections"), number("open"));
                        *taken = Taken { commands: taken.commands + 1, connections, open };
                    });
                }
            }
        });
        let stdin = child.stdin.take().expect("piped");
        Self { port, mails, taken, commands: 0, stdin, certificates, _child: child }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `smtp://127.0.0.1:port`, without TLS.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The authority of its certificate (which is for `localhost`), as PEM.
    pub fn authority(&self) -> Option<Vec<u8>> {
        let certificates = self.certificates.as_ref()?;
        Some(std::fs::read(certificates.path("root.pem")).expect("written before"))
    }

    /// Returns when the server has taken it.
    pub async fn behave(&mut self, behaviour: Behaviour) {
        self.command(&Value::Object(behaviour.0)).await;
    }

    /// The number of connections so far.
    pub async fn connections(&mut self) -> u64 {
        self.command(&Value::Null).await.connections
    }

    /// The number of open connections.
    pub async fn open_connections(&mut self) -> u64 {
        self.command(&Value::Null).await.open
    }

    async fn command(&mut self, command: &Value) -> Taken {
        self.commands += 1;
        let line = format!("{command}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("the server runs");
        self.stdin.flush().await.expect("the server runs");
        let commands = self.commands;
        *self.taken.wait_for(|taken| taken.commands >= commands).await.expect("the server runs")
    }

    /// The mails so far, oldest first.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.kept().clone()
    }

    /// The number of mails so far.
    pub fn count(&self) -> usize {
        self.kept().len()
    }

    /// Waits until it has kept this many.
    pub async fn received(&self, count: usize) -> Vec<ReceivedMail> {
        eventually(&format!("{count} mails"), async || self.count() >= count).await;
        self.mails()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<ReceivedMail>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An authority, and its certificate for `localhost`.
fn certificates() -> Certificates {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let openssl = |arguments: &str| run_openssl(folder.path(), arguments);
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 2 -subj /CN=root",
    );
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost",
    );
    std::fs::write(folder.path().join("leaf.ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .expect("a file");
    openssl(
        "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -out leaf.pem -days 2 -extfile leaf.ext",
    );
    Certificates { folder }
}

fn run_openssl(folder: &Path, arguments: &str) {
    let made = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let made = made.expect("openssl runs");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}
