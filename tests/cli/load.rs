//! The load kit's exit code says whether its thresholds were met, with a server of its own and with one that runs already.

use super::shell::Shell;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// One second of a few checks.
fn kit(folder: &Path, arguments: &[&str]) -> Output {
    let server = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    let kit = server.with_file_name("portcullis-load");
    assert!(kit.exists(), "{} is not there: cargo build --workspace builds it", kit.display());
    let mut command = Command::new(kit);
    command.current_dir(folder).args(["check", "--rate", "50", "--duration", "1s", "--warm-up", "0.1s"]);
    command.args(arguments).output().expect("the kit runs")
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[test]
fn the_load_kit_measures_its_own_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = ["--sessions", "embedded", "--users", "4", "--json", "run.json", "--html", "run.html"];
    let ended = kit(folder.path(), &[&own[..], &["--threshold", "errors<100%", "--threshold", "max>1us"]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    let run = std::fs::read(folder.path().join("run.json")).expect("results");
    let run: Value = serde_json::from_slice(&run).expect("JSON");
    let totals = |name: &str| run["totals"][name].as_u64().expect("a number");
    assert!(totals("planned") > 10 && totals("good") > 0, "{run}");
    assert_eq!(totals("planned"), totals("sent") + totals("dropped"));
    assert_eq!(totals("sent"), totals("good") + totals("errors"));
    assert!(run["seconds"][0]["server_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{run}");
    assert!(folder.path().join("run.html").exists());
}

#[test]
fn a_threshold_that_fails_is_named_and_is_exit_code_1() {
    let shell = Shell::new("loadtest");
    shell.json(&["apps", "add", "load"]);
    shell.json(&["users", "generate", "--count", "4", "--tokens", "users.ndjson"]);
    let server = shell.serve();
    let url = ["--url", &server.url("/"), "--tokens", "users.ndjson"].map(str::to_owned);
    let url: Vec<&str> = url.iter().map(String::as_str).collect();
    let folder = shell.path("");
    let ended = kit(&folder, &[&url[..], &["--threshold", "errors<1%", "--threshold", "rate > 1000000"]].concat());
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("threshold failed: rate>1000000"), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains("threshold errors<1%: met"), "{}", text(&ended.stdout));

    let ended = kit(&folder, &[&url[..], &["--json", "-"]].concat());
    assert!(serde_json::from_slice::<Value>(&ended.stdout).is_ok(), "{}", text(&ended.stdout));
    assert!(text(&ended.stderr).contains("planned"), "{}", text(&ended.stderr));

    let ended = kit(&folder, &["--threshold", "p99<fast"]);
    assert_eq!(ended.status.code(), Some(2), "{}", text(&ended.stderr));
}
