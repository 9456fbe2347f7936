//! The composition root: the only place where a backend or a transport is chosen. Everything else knows traits.

#[expect(dead_code, reason = "serve comes next")]
mod demo;
#[expect(dead_code, reason = "serve comes next")]
mod secrets;
mod stores;

pub(crate) use stores::database;
