//! The built binary as a process of its own: a server on a free port, or one command of the command line.
//!
//! For tests of signals, crashes, restarts and CPU time. Other tests build a `Server` in their own process, which is
//! quicker.

use crate::wait::{PATIENCE, found_blocking};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Time-outs for a machine that is busy with other things. Tests of the time-outs set their own.
pub const PATIENT: [(&str, &str); 4] = [
    ("database.timeout_ms", "20000"),
    ("redis.timeout_ms", "20000"),
    ("hashing.max_wait_ms", "20000"),
    ("server.deadline_secs", "60"),
];

/// The cheapest hashes, for tests that are not about what a password costs.
pub const CHEAP_HASHES: [(&str, &str); 3] =
    [("hashing.memory_kib", "64"), ("hashing.iterations", "1"), ("hashing.threads", "1")];

/// How a server is started. The same folder and settings again are a restart.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The built binary.
    pub binary: PathBuf,
    /// The working directory. The server writes `data/` and `log` in it; a `portcullis.toml` in it is its `--config`.
    pub folder: PathBuf,
    /// `development`, `loadtest`, `production`.
    pub profile: &'static str,
    /// Configuration by `section.key`. The last value of a key counts.
    pub settings: Vec<(&'static str, String)>,
}

impl Setup {
    /// With [`PATIENT`] time-outs.
    pub fn new(binary: &str, folder: &Path, profile: &'static str) -> Self {
        Self { binary: binary.into(), folder: folder.to_owned(), profile, settings: Vec::new() }.with(&PATIENT)
    }

    /// With these settings, too.
    #[must_use]
    pub fn with(mut self, settings: &[(&'static str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        self
    }

    /// The binary with these arguments, ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // The environment of the test must not configure the program.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS")) {
            command.env_remove(name);
        }
        command.env_remove("CREDENTIALS_DIRECTORY");
        command.current_dir(&self.folder).env("PORTCULLIS_PROFILE", self.profile);
        for (key, value) in &self.settings {
            command.env(format!("PORTCULLIS__{}", key.replace('.', "__").to_uppercase()), value);
        }
        if self.folder.join("portcullis.toml").exists() {
            command.args(["--config", "portcullis.toml"]);
        }
        command.args(arguments);
        command
    }

    /// The file with the output of the server.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts it on a free port, and waits until it prints its address.
    ///
    /// # Errors
    /// When it prints none within [`PATIENCE`]; the end of its log is in the error.
    pub fn start(&self) -> io::Result<Server> {
        let begun = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = self.command(&["serve"]);
        command.env("PORTCULLIS__SERVER__BIND", "127.0.0.1:0");
        if self.profile == "development" && !self.settings.iter().any(|(key, _)| *key == "admin.bind") {
            // Its default is a fixed port.
            command.env("PORTCULLIS__ADMIN__BIND", "127.0.0.1:0");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?).spawn()?;
        let stdout = child.stdout.take().map(BufReader::new);
        // From here on it is killed when dropped, also after a failed start.
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), started_in: Duration::ZERO };
        match stdout.and_then(|stdout| address_in(stdout, log)) {
            Some(address) => {
                server.address = address;
                server.started_in = begun.elapsed();
                Ok(server)
            }
            None => Err(io::Error::other(format!("the server did not start; its log: {}", tail(&self.log())))),
        }
    }

    /// Runs one command to its end, with `input` on its standard input. Returns its standard output.
    ///
    /// # Errors
    /// When it fails: its standard error.
    pub fn run(&self, arguments: &[&str], input: &str) -> io::Result<String> {
        let output = output_of(self.command(arguments), input)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = if said.trim().is_empty() { output.status.to_string() } else { said.trim().to_owned() };
        Err(io::Error::other(format!("{} {}: {reason}", self.binary.display(), arguments.join(" "))))
    }
}

/// Runs a command to its end, with `input` on its standard input.
///
/// # Errors
/// When it cannot be run.
pub fn output_of(mut command: Command, input: &str) -> io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // An error means that the command has ended: it reads nothing.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// Reads up to the first `http://127.0.0.1:PORT`. All lines go to the log.
fn address_in(mut stdout: BufReader<std::process::ChildStdout>, mut log: File) -> Option<SocketAddr> {
    let (found, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|read| read > 0) {
            let said = line.split("http://").nth(1).unwrap_or_default();
            let end = said.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).unwrap_or(said.len());
            if let Ok(address) = said[..end].parse::<SocketAddr>() {
                let _ = found.send(address);
            }
            let _ = log.write_all(line.as_bytes());
            line.clear();
        }
    });
    address.recv_timeout(PATIENCE).ok()
}

fn tail(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    started_in: Duration,
}

impl Server {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From the start of the process until it printed its address.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn terminate(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Waits for its end. Returns its status and how long that took.
    ///
    /// # Panics
    /// When it goes on for [`PATIENCE`].
    pub fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let status = found_blocking("the server ends", || self.child.try_wait().expect("a child of this process"));
        (status, began.elapsed())
    }

    /// Sends SIGKILL: a crash.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
