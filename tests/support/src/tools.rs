//! What `tests/run` prepares: the tools from PyPI and npm, with the versions in `tests/tools`, and the previous release.

use std::path::{Path, PathBuf};

/// The variable with their folder.
const FOLDER: &str = "PORTCULLIS_TEST_TOOLS";
/// The variable with the previous release's binary.
const PREVIOUS: &str = "PORTCULLIS_TEST_PREVIOUS";

/// A file of the tools, for example `bin/schemathesis`.
///
/// # Panics
/// When it is not there.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests/run says where it has installed them")]
pub fn tool(name: &str) -> PathBuf {
    let folder = std::env::var(FOLDER).unwrap_or_else(|_| panic!("{FOLDER} is not set: tests/run installs the tools"));
    let path = PathBuf::from(folder).join(name);
    assert!(path.exists(), "{} is missing: tests/run installs it", path.display());
    path
}

/// The script of axe-core, which finds barriers in pages.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn axe() -> String {
    std::fs::read_to_string(tool("axe.min.js")).expect("readable")
}

/// The server of the previous release, which `tests/run` builds from the commit in `tests/previous-release`.
///
/// # Panics
/// When it was not built.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests/run says where it has built it")]
pub fn previous_release() -> PathBuf {
    let path = std::env::var(PREVIOUS).unwrap_or_else(|_| panic!("{PREVIOUS} is not set: tests/run builds it"));
    assert!(Path::new(&path).exists(), "{path} is missing: tests/run builds it");
    path.into()
}
