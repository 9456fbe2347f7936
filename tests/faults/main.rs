//! The server as an operator meets it: a process that is started, stopped, killed, restarted, and whose files and log
//! somebody reads who should not.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod canaries;
mod crowd;
mod fleet;
mod http;
mod inbox;
mod lifecycle;

use portcullis_testkit::server::Setup;
use std::path::Path;

/// A server in `folder` under the development profile: the embedded store, an inbox, no network. Its disk may be slow,
/// since other tests use it too.
fn setup(folder: &Path, settings: &[(&'static str, &str)]) -> Setup {
    let settings = [&[("database.timeout_ms", "4000")], settings].concat();
    Setup {
        binary: env!("CARGO_BIN_EXE_portcullis").into(),
        folder: folder.to_owned(),
        profile: "development",
        settings: settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
    }
}
