//! The tools from PyPI and npm that `tests/run` installs, with the versions in `tests/tools`.

use std::path::PathBuf;

/// The variable with their folder.
const FOLDER: &str = "PORTCULLIS_TEST_TOOLS";

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
