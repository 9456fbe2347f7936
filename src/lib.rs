//! The sign-in server: HTTP, configuration, command line, and the composition root that connects the actors.
//!
//! `main` and the tests start the same [`Server`]. There is no global state, so two servers can run in one process.

#![warn(clippy::expect_used)]

mod admin;
mod app;
pub mod cli;
pub mod config;
pub mod connections;
pub mod http;
mod maintenance;
mod server;
mod stopper;
pub mod telemetry;

pub use server::Server;
pub use stopper::Stopper;
