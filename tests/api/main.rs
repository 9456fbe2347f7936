//! The API over real connections. Most tests use the HTTP layer with a probe in place of the actors: they test its
//! messages to the actors and its answers to clients. `journey`, `possession`, `limits`, `stores`, `traces` and parts of
//! `neighbour` use the whole server.

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
mod docs;
mod gateway;
mod inbox;
mod journey;
mod limits;
mod live;
mod metrics;
mod neighbour;
mod openapi;
mod pages;
mod people;
mod possession;
mod probe;
mod raw;
mod refusals;
mod stores;
mod table;
mod traces;
