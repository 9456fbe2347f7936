//! The command line: the built binary, its exit codes, both forms of its answers, and its errors.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod accounts;
mod configuration;
mod connect;
mod endings;
mod generate;
mod import;
mod load;
mod migrate;
mod outbox;
mod production;
mod reading;
mod serve;
mod shell;
mod slips;
mod sole;
mod traces;
