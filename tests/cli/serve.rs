//! `serve`: the greeting, what development refuses, a port that is taken, and two servers in one process.

use super::shell::{Shell, client};
use portcullis::Server;
use portcullis::config::{Config, Profile, Sources};
use portcullis_actors::clock::SystemClock;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A server that runs until the end of the test.
pub struct Running {
    child: Child,
    greeting: Vec<String>,
    pub url: String,
}

impl Running {
    pub fn start(shell: &Shell) -> Self {
        let mut child = shell.command(&["serve"]).stdout(Stdio::piped()).spawn().expect("the binary was built");
        let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let mut greeting = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            let last = line.contains("Ctrl-C");
            greeting.push(line);
            if last {
                break;
            }
        }
        let url = greeting.join(" ").split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
        Self { child, greeting, url: url.unwrap_or_default() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_first_command_greets_in_twenty_lines_and_its_curl_lines_work() {
    let shell = Shell::new("development").with("SERVER__BIND", "127.0.0.1:0");
    let server = Running::start(&shell);
    assert!(server.greeting.len() <= 20, "{:#?}", server.greeting);
    let text = server.greeting.join("\n").replace("\\\n", " ");
    assert!(text.contains(&format!("{}/dev/inbox", server.url)), "{text}");
    let client = client();
    let mut token = String::new();
    let curls: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(curls.len(), 5);
    for curl in curls {
        let words: Vec<&str> = curl.split_whitespace().collect();
        let url = words.last().expect("an address");
        let form: Vec<(String, String)> = words
            .windows(2)
            .filter(|pair| pair[0] == "-d")
            .filter_map(|pair| pair[1].split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').replace("TOKEN", &token)))
            .collect();
        let method = words[2].parse().expect("a method");
        let answer = client.request(method, *url).form(&form).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{curl}");
        let body: Value = answer.json().await.expect("JSON");
        if let Some(new) = body["token"].as_str() {
            token = new.to_owned();
            assert_eq!(body["user_info"], json!({"id": 1, "first_name": "Ada", "last_name": "Admin"}));
        }
    }
    assert!(!token.is_empty());
}

#[test]
fn development_stays_on_this_machine() {
    let shell = Shell::new("development").with("SERVER__BIND", "0.0.0.0:0");
    assert!(shell.refused(&["serve"]).contains("--demo-anywhere"));
    assert!(shell.refused(&[]).contains("--demo-anywhere"), "no command is serve");
}

#[test]
fn an_address_that_is_taken_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let line = Shell::new("loadtest").with("SERVER__BIND", &address).refused(&["serve"]);
    assert!(line.contains(&address) && line.contains("server.bind"), "{line}");
}

#[tokio::test]
async fn what_the_command_line_changes_is_noticed_within_a_second() {
    let shell = Shell::new("development").with("SERVER__BIND", "127.0.0.1:0");
    let server = Running::start(&shell);
    let client = client();
    let form = [("email", "admin@beyondvip.com"), ("password", "password")];
    let answer = client.post(format!("{}/api/v1/tokens.json", server.url)).form(&form).send().await.expect("an answer");
    let token = answer.json::<Value>().await.expect("JSON")["token"].as_str().expect("a token").to_owned();
    let check = || client.get(format!("{}/api/v1/sessions/current", server.url)).bearer_auth(&token).send();
    assert_eq!(check().await.expect("an answer").status(), 200);
    shell.json(&["users", "disable", "1"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(check().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn sigterm_ends_it_in_order() {
    let shell = Shell::new("development").with("SERVER__BIND", "127.0.0.1:0");
    let mut server = Running::start(&shell);
    let stopped = std::process::Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status();
    assert!(stopped.expect("kill runs").success());
    let status = tokio::task::spawn_blocking(move || server.child.wait().map(|status| status.code()));
    let status = tokio::time::timeout(Duration::from_secs(10), status).await.expect("within ten seconds");
    assert_eq!(status.expect("no panic").expect("it was waited for"), Some(0));
}

#[actix_web::test]
async fn two_servers_run_in_one_process() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let mut servers = Vec::new();
    for folder in &folders {
        let sources = Sources::of(Profile::Development)
            .with("server.bind", "127.0.0.1:0")
            .with("server.workers", "1")
            .with("hashing.memory_kib", "1024")
            .with("database.url", format!("sqlite://{}/portcullis.db", folder.path().display()));
        let config = Config::load(&sources).expect("a good configuration");
        let server = Server::build(config, Arc::new(SystemClock)).await.expect("it starts");
        let (address, stopper) = (server.address(), server.stopper());
        servers.push((address, stopper, actix_web::rt::spawn(server.run())));
    }
    assert_ne!(servers[0].0.port(), servers[1].0.port());
    let client = client();
    let mut tokens = Vec::new();
    for (address, _, _) in &servers {
        let form = [("email", "admin@beyondvip.com"), ("password", "password")];
        let answer = client.post(format!("http://{address}/api/v1/tokens.json")).form(&form).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        tokens.push(answer["token"].as_str().expect("a token").to_owned());
    }
    for (at, (address, _, _)) in servers.iter().enumerate() {
        for (whose, token) in tokens.iter().enumerate() {
            let url = format!("http://{address}/api/v1/sessions/current");
            let status = client.get(url).bearer_auth(token).send().await.expect("an answer").status();
            assert_eq!(status == 200, at == whose, "a server knows its own tokens only");
        }
    }
    for (_, stopper, running) in servers {
        stopper.stop().await;
        let ended = tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends in time");
        ended.expect("no panic").expect("no error");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let shell = Shell::new("development");
    let mut child =
        shell.command(&["config", "dump"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it");
    drop(child.stdout.take());
    let mut err = String::new();
    let _ = child.stderr.take().expect("is piped").read_to_string(&mut err);
    assert_eq!((child.wait().expect("it ends").code(), err.as_str()), (Some(0), ""));
}

#[test]
fn the_version_names_the_commit_and_shells_complete() {
    let shell = Shell::new("prod");
    let version = shell.run(&["--version"]);
    let top = env!("CARGO_MANIFEST_DIR");
    let git = std::process::Command::new("git").args(["-C", top, "rev-parse", "--short=12", "HEAD"]).output();
    let commit = git.ok().filter(|git| git.status.success() && std::path::Path::new(top).join(".git").exists());
    let commit = commit.map(|git| format!(" ({})", String::from_utf8_lossy(&git.stdout).trim())).unwrap_or_default();
    assert_eq!(version.out.trim(), format!("portcullis {}{commit}", env!("CARGO_PKG_VERSION")));
    for which in ["bash", "zsh", "fish"] {
        let script = shell.run(&["completions", which]);
        assert_eq!((script.code, script.err.as_str()), (0, ""), "it needs no settings");
        assert!(script.out.contains("set-password"), "{which}: {}", script.out);
    }
    assert_eq!(shell.run(&["completions", "cmd"]).code, 2);
}
