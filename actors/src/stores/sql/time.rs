//! Times that several nodes compare. On a server they come from its clock, which all nodes share; a file has one node.

use super::{Dialect, SqlStore};
use crate::clock::Timestamp;
use std::time::Duration;

/// The time of a statement: a text in it, and the value of one of its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatementTime {
    pub(super) dialect: Dialect,
    node: Timestamp,
    /// What tests have moved the time by. A server does not know of it.
    offset: i64,
}

impl SqlStore {
    /// The time of the next statements.
    pub(super) fn time(&self) -> StatementTime {
        StatementTime { dialect: self.dialect, node: self.clock.now(), offset: self.clock.offset_millis() }
    }
}

impl StatementTime {
    /// The time in milliseconds since the Unix epoch, as an expression over the parameter of this number. It is the same
    /// in all of the statement, so that indexes serve comparisons with it.
    pub(super) fn text(self, parameter: usize) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("${parameter}"),
            Dialect::Postgres => {
                format!("((EXTRACT(EPOCH FROM statement_timestamp()) * 1000)::BIGINT + ${parameter})")
            }
        }
    }

    /// The value of the parameter for now.
    pub(super) fn now(self) -> i64 {
        self.at(self.node)
    }

    /// The value of the parameter for a time of this node's clock: as far from the server's time as it is from this node's.
    pub(super) fn at(self, time: Timestamp) -> i64 {
        match self.dialect {
            Dialect::Sqlite => time.millis(),
            Dialect::Postgres => time.millis().saturating_sub(self.node.millis()).saturating_add(self.offset),
        }
    }

    pub(super) fn plus(self, by: Duration) -> i64 {
        self.at(self.node.plus(by))
    }

    pub(super) fn minus(self, by: Duration) -> i64 {
        self.at(self.node.minus(by))
    }

    /// The time on this node's clock.
    pub(super) fn of_node(self) -> Timestamp {
        self.node
    }
}
