//! The composition root: the only place where a backend or a transport is chosen. Everything else knows traits.
//!
//! `stores.rs` and `deliveries.rs` choose, `worker.rs` starts the actors of one HTTP thread over what was chosen.

mod asked;
mod defaults;
mod deliveries;
pub(crate) mod demo;
mod secrets;
mod sole;
mod stores;
mod worker;

pub(crate) use asked::ask;
pub(crate) use defaults::ensure_default_application;
pub(crate) use deliveries::{Deliveries, transports};
pub(crate) use secrets::keyring;
pub(crate) use sole::Claim;
pub(crate) use stores::{Access, Stores, TokenStore, database};
pub(crate) use worker::Foundation;

/// The SQL side, as the server and the command line hold it.
pub(crate) type Database = portcullis_actors::stores::sql::SqlStore;
