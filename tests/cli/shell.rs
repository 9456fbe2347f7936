//! The built binary in a folder of its own, without the configuration of this process.

use portcullis_testkit::accounts::{PASSWORD, users_add};
use portcullis_testkit::server::{CHEAP_HASHES, Server, Setup, output_of};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A folder and an environment in which commands run.
pub struct Shell {
    folder: TempDir,
    setup: Setup,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Shell {
    /// Under a profile, with cheap hashes and patient time-outs.
    pub fn new(profile: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let setup = Setup::new(env!("CARGO_BIN_EXE_portcullis"), folder.path(), profile).with(&CHEAP_HASHES);
        Self { folder, setup, variables: Vec::new() }
    }

    /// With a setting, `section.key`.
    pub fn with(mut self, key: &'static str, value: &str) -> Self {
        self.setup = self.setup.with(&[(key, value)]);
        self
    }

    /// With any variable set.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file in a temporary folder");
        path
    }

    /// The command, ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.setup.command(arguments);
        command.envs(self.variables.clone());
        command
    }

    /// Starts a server on a free port.
    pub fn serve(&self) -> Server {
        self.setup.start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The output of the server.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.setup.log()).unwrap_or_default()
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// The same with text on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let output = output_of(self.command(arguments), input).expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command with `--json`, which must succeed; returns its answer.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.json_with(arguments, "")
    }

    /// The same with text on its standard input.
    pub fn json_with(&self, arguments: &[&str], input: &str) -> Value {
        let ended = self.run_with(&[arguments, &["--json"]].concat(), input);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out.lines().count(), 1, "one object on one line: {}", ended.out);
        serde_json::from_str(&ended.out).expect("JSON")
    }

    /// Runs a command, which must fail with exactly one line; returns that line.
    pub fn refused(&self, arguments: &[&str]) -> String {
        self.refused_with(arguments, "")
    }

    /// The same with text on its standard input.
    pub fn refused_with(&self, arguments: &[&str], input: &str) -> String {
        let ended = self.run_with(arguments, input);
        assert_eq!((ended.code, ended.err.lines().count()), (1, 1), "{arguments:?}: {ended:?}");
        ended.err.trim_end().trim_start_matches("portcullis: ").to_owned()
    }

    /// Creates a user with [`PASSWORD`]; returns its number.
    pub fn user(&self, email: &str) -> i64 {
        self.json_with(&users_add(email), PASSWORD)["id"].as_i64().expect("a number")
    }
}
