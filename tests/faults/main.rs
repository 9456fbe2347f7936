//! The server as a process: started, stopped, killed and restarted; and its files and log, which an attacker may read.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod canaries;
mod crowd;
mod drain;
mod fleet;
mod http;
mod inbox;
mod lifecycle;

use portcullis_testkit::server::Setup;
use std::path::Path;

/// A server in `folder` under the development profile: the embedded store, an inbox, no network.
fn setup(folder: &Path, settings: &[(&'static str, &str)]) -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_portcullis"), folder, "development").with(settings)
}
