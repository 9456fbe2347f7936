//! The command line as operators meet it: the built binary, its exit codes, its two forms of answer, its mistakes.

mod accounts;
mod configuration;
mod import;
mod outbox;
mod production;
mod serve;
mod shell;
mod slips;
