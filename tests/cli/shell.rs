//! The built binary in a folder of its own, with nothing of this process's configuration.

use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where commands run: a folder, and what the environment sets.
pub struct Shell {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// An HTTP client that goes straight to loopback.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Shell {
    /// Under a profile.
    pub fn new(profile: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shell = Self { folder, variables: vec![("PORTCULLIS_PROFILE".to_owned(), profile.to_owned())] };
        // Cheap hashes: what a password costs is tested elsewhere.
        shell.with("HASHING__MEMORY_KIB", "1024").with("HASHING__ITERATIONS", "1").with("HASHING__THREADS", "1")
    }

    /// With `PORTCULLIS__{name}` set.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((format!("PORTCULLIS__{name}"), value.to_owned()));
        self
    }

    /// With any variable set.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is or will be in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file in a temporary folder");
        path
    }

    /// The command, ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS")) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).args(arguments).envs(self.variables.clone());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// Runs it to its end with something on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        // A command that reads nothing may have ended by now.
        let _ = child.stdin.take().expect("is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs it with `--json`, which must be done, and reads its answer.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.json_with(arguments, "")
    }

    /// The same with something on standard input.
    pub fn json_with(&self, arguments: &[&str], input: &str) -> Value {
        let ended = self.run_with(&[arguments, &["--json"]].concat(), input);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out.lines().count(), 1, "one object on one line: {}", ended.out);
        serde_json::from_str(&ended.out).expect("JSON")
    }

    /// Runs it; it must be refused with exactly one line, which is returned.
    pub fn refused(&self, arguments: &[&str]) -> String {
        self.refused_with(arguments, "")
    }

    /// The same with something on standard input.
    pub fn refused_with(&self, arguments: &[&str], input: &str) -> String {
        let ended = self.run_with(arguments, input);
        assert_eq!((ended.code, ended.err.lines().count()), (1, 1), "{arguments:?}: {ended:?}");
        ended.err.trim_end().trim_start_matches("portcullis: ").to_owned()
    }

    /// Adds a user and gives its number.
    pub fn user(&self, email: &str) -> i64 {
        let arguments =
            ["users", "add", "--email", email, "--first-name", "Grace", "--last-name", "Hopper", "--password-stdin"];
        self.json_with(&arguments, "correct horse battery\n")["id"].as_i64().expect("a number")
    }
}
