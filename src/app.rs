//! The composition root: the only place where a backend or a transport is chosen. Everything else knows traits.

mod stores;

pub(crate) use stores::database;
