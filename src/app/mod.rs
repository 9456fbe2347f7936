//! The composition root: the only place that chooses a backend or a transport. All other code uses traits.
//!
//! `stores.rs`, `transports.rs` and `traces.rs` choose, `policies.rs` translates settings, and `worker.rs` starts the actors of an
//! HTTP thread.

mod clocks;
mod closings;
mod default_application;
pub(crate) mod demo;
mod instruments;
mod node_life;
mod policies;
mod probe;
mod secrets;
mod single_node;
mod stores;
mod traces;
mod transports;
mod worker;

pub(crate) use clocks::{Clocks, database_skew};
pub(crate) use closings::{Followed, keep_closed};
pub(crate) use default_application::ensure_default_application;
pub(crate) use instruments::ServerInstruments;
pub(crate) use node_life::NodeLife;
pub(crate) use probe::{Probed, probe_dependencies};
pub(crate) use secrets::keyring;
pub(crate) use single_node::NodeClaim;
pub(crate) use stores::{Access, Database, NodeReadiness, TokenStore, database, migrate, schema_lacks};
pub(crate) use traces::TraceExporter;
pub(crate) use transports::transports;
pub(crate) use worker::WorkerFactory;
