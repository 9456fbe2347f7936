//! What clients see, over real connections. The HTTP layer is tested against a probe in place of the actors; so these
//! tests say what the layer asks for, and what it makes of an answer. `journey`, `possession`, `limits` and `browser` walk through
//! the whole server instead.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod answers;
mod app;
mod bad_input;
mod bodies;
mod browser;
mod callbacks;
mod calls;
mod connections;
mod cors;
mod credentials;
mod journey;
mod limits;
mod live;
mod pages;
mod possession;
mod probe;
mod refusals;
mod table;
mod webdriver;
