//! Arguments → configuration → what was asked for. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::main()
}
