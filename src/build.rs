//! Build script: asks git for the commit, for `--version`. A source archive has none.

use std::path::Path;
use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "Cargo passes the version to a build script in the environment")]
fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match commit() {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo:rustc-env=BUILD_VERSION={version}");
}

/// Only from this project's own repository: a source archive may be unpacked inside another one.
fn commit() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // This file changes with every commit and every change of branch.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
