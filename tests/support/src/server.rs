//! The server as a process of its own: the built binary in a folder of its own, on a free port, ended when dropped.
//!
//! For what a test inside one process cannot show: signals, crashes, restarts, CPU time. Everything else starts
//! `Server::build` and is quicker.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The longest a start may take before it counts as failed; a busy machine is no fault of the server's.
const LONGEST_START: Duration = Duration::from_secs(30);

/// How a server is started: the same folder and settings again are a restart.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The built binary.
    pub binary: PathBuf,
    /// Where it runs: its `data/` lands here, and what it logs in `log`. A `portcullis.toml` in it is its `--config`.
    pub folder: PathBuf,
    /// `development`, `loadtest`, `production`.
    pub profile: &'static str,
    /// Configuration by `section.key`.
    pub settings: Vec<(&'static str, String)>,
}

impl Setup {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        // An environment of its own: what the tests are run with must not configure what they start.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTCULLIS")) {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).env("PORTCULLIS_PROFILE", self.profile);
        for (key, value) in &self.settings {
            command.env(format!("PORTCULLIS__{}", key.replace('.', "__").to_uppercase()), value);
        }
        if self.folder.join("portcullis.toml").exists() {
            command.args(["--config", "portcullis.toml"]);
        }
        command
    }

    /// The file that the server's log (and every other output after its greeting) goes to.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts it on a free port, and waits until it says where it listens.
    ///
    /// # Errors
    /// When it ends before, or says nothing in time; the end of its log is in the error.
    pub fn start(&self) -> io::Result<Server> {
        let begun = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = self.command();
        command.arg("serve").env("PORTCULLIS__SERVER__BIND", "127.0.0.1:0");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?).spawn()?;
        let stdout = child.stdout.take().map(BufReader::new);
        // Owned from here on, so that a failed start leaves no process behind.
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

    /// Runs one command of the command line to its end, with `input` on its standard input.
    ///
    /// # Errors
    /// When it is refused: what it said.
    pub fn run(&self, arguments: &[&str], input: &str) -> io::Result<String> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(io::Error::other(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr))))
    }
}

/// Reads up to the first `http://127.0.0.1:PORT`; the rest goes on into the log, so that the pipe never fills.
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
    address.recv_timeout(LONGEST_START).ok()
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
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From the start of the process until it said where it listens.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM). Returns at once.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn terminate(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Waits for its end, at most `longest`.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`].
    pub fn ended(&mut self, longest: Duration) -> io::Result<ExitStatus> {
        let until = Instant::now() + longest;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it without a word (SIGKILL), as a crash or the kernel would.
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
