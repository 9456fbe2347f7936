//! The API over real connections. Most tests use the HTTP layer with a probe in place of the actors: they test its
//! messages to the actors and its answers to clients. `journey`, `possession`, `limits` and `traces` use the whole
//! server.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod answers;
mod app;
mod bad_input;
mod bodies;
mod callbacks;
mod calls;
mod connections;
mod console_probe;
mod cors;
mod credentials;
mod declarations;
mod journey;
mod limits;
mod live;
mod metrics;
mod pages;
mod possession;
mod probe;
mod refusals;
mod table;
mod traces;
