//! What is counted of the connections of a server.

use portcullis_actors::metrics::Counter;

/// The connections of all threads of one server.
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    pub accepted: Counter,
    pub closed: Counter,
    /// Over `server.max_connections`.
    pub refused_total: Counter,
    /// Over `server.connections_per_address`.
    pub refused_address: Counter,
    /// The head of a request did not arrive in time.
    pub head_timeout: Counter,
    /// The head of a request was too large.
    pub head_too_large: Counter,
    /// What arrived was not a request.
    pub malformed: Counter,
    /// The client did not read its answer for too long.
    pub answer_timeout: Counter,
}
