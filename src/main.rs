//! Runs the command line of the library.

use std::process::ExitCode;

/// A third of the time of a check would be spent in the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
