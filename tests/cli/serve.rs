//! `serve`: the greeting, what development refuses, a port that is taken, and two servers in one process.

use super::shell::Shell;
use portcullis::Server;
use portcullis::config::{Config, Profile, Sources};
use portcullis_actors::clock::SystemClock;
use portcullis_testkit::accounts::{check, sign_in};
use portcullis_testkit::http_client;
use portcullis_testkit::wait::{eventually, eventually_blocking};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn the_first_command_greets_in_twenty_lines_and_its_curl_lines_work() {
    let shell = Shell::new("development").with("log.filter", "off");
    let server = shell.serve();
    eventually("the greeting ends", async || shell.log().contains("Ctrl-C")).await;
    assert!(shell.log().lines().count() <= 20, "{}", shell.log());
    let text = shell.log().replace("\\\n", " ");
    assert!(text.contains(&server.url("/dev/inbox")), "{text}");
    let client = http_client();
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
    let shell = Shell::new("development").with("server.bind", "0.0.0.0:0");
    assert!(shell.refused(&["serve"]).contains("--demo-anywhere"));
    assert!(shell.refused(&[]).contains("--demo-anywhere"), "no command is serve");
}

#[test]
fn an_address_that_is_taken_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    for (key, other) in [("server.bind", "admin.bind"), ("admin.bind", "server.bind")] {
        let line = Shell::new("loadtest").with(other, "127.0.0.1:0").with(key, &address).refused(&["serve"]);
        assert!(line.contains(&address) && line.contains(key) && !line.contains(other), "{line}");
    }
}

#[tokio::test]
async fn what_the_command_line_changes_is_noticed_within_a_second() {
    let shell = Shell::new("development");
    let server = shell.serve();
    let token = sign_in(&server.url(""), "admin@beyondvip.com", "password").await.expect("signed in");
    assert_eq!(check(&server.url(""), &token).await, 200);
    shell.json(&["users", "disable", "1"]);
    let took = eventually("it is noticed", async || check(&server.url(""), &token).await == 401).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn sigterm_ends_it_in_order() {
    let shell = Shell::new("development");
    let mut server = shell.serve();
    server.terminate().expect("it runs");
    let (status, took) = server.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn http_threads_are_nicer_than_hashing_threads() {
    let shell = Shell::new("development").with("server.workers", "2").with("hashing.threads", "2");
    let shell = shell.with("admin.bind", "127.0.0.1:0");
    let server = shell.serve();
    let threads = || {
        let mut seen = Vec::new();
        for thread in std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs") {
            // The name is in brackets. The 17th field after it is the niceness.
            let stat = std::fs::read_to_string(thread.expect("a thread").path().join("stat")).unwrap_or_default();
            let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else { continue };
            let nice: i32 = rest.split_whitespace().nth(16).and_then(|nice| nice.parse().ok()).expect("a number");
            seen.push((name.to_owned(), nice));
        }
        seen
    };
    let nice = |prefix: &str| -> Vec<i32> {
        threads().iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, nice)| *nice).collect()
    };
    let hashing = nice("hashing-");
    assert_eq!(hashing.len(), 2);
    // The HTTP threads start after the address is printed, and then lower their priority.
    eventually_blocking("the HTTP threads are nicer", || {
        let http = nice("actix-rt");
        // One is that of the listener for operators.
        http.len() == 3 && http.iter().all(|http| *http == (hashing[0] + 1).min(19))
    });
}

#[actix_web::test]
async fn two_servers_run_in_one_process() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let mut servers = Vec::new();
    for folder in &folders {
        let sources = Sources::of(Profile::Development)
            .with("database.timeout_ms", "20000")
            .with("server.bind", "127.0.0.1:0")
            .with("admin.bind", "127.0.0.1:0")
            .with("server.workers", "1")
            .with("hashing.memory_kib", "1024")
            .with("database.url", format!("sqlite://{}/portcullis.db", folder.path().display()));
        let config = Config::load(&sources).expect("a good configuration");
        let server = Server::build(config, Arc::new(SystemClock)).await.expect("it starts");
        let (address, stopper) = (server.address(), server.stopper());
        servers.push((address, stopper, actix_web::rt::spawn(server.run())));
    }
    assert_ne!(servers[0].0.port(), servers[1].0.port());
    let mut tokens = Vec::new();
    for (address, _, _) in &servers {
        let token = sign_in(&format!("http://{address}"), "admin@beyondvip.com", "password").await;
        tokens.push(token.expect("signed in"));
    }
    for (at, (address, _, _)) in servers.iter().enumerate() {
        for (whose, token) in tokens.iter().enumerate() {
            let status = check(&format!("http://{address}"), token).await;
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
