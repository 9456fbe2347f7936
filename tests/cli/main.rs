//! The command line: the built binary, its exit codes, both forms of its answers, and its errors.

mod accounts;
mod configuration;
mod connect;
mod endings;
mod import;
mod outbox;
mod production;
mod reading;
mod serve;
mod shell;
mod slips;
mod sole;
