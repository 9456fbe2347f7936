//! What the configuration says about a database beside its name: several servers in one URL, and a pooler before them.

use serde::{Deserialize, Serialize};

/// A program between this one and PostgreSQL that shares the server's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooler {
    /// There is none: a connection is a session of its own.
    #[default]
    None,
    /// Two transactions of one connection may run in two sessions (PgBouncer's `pool_mode = transaction`). No state of a
    /// session outlives a transaction.
    Transaction,
}

/// One URL for each server that the URL of a database names. In a URL of PostgreSQL the hosts are separated by commas, as
/// in libpq: `postgres://user:password@one:5432,two:5432/name` names two. Anything else is returned as it is.
pub fn each_server(url: &str) -> Vec<String> {
    let postgres = |(scheme, _): &(&str, &str)| matches!(*scheme, "postgres" | "postgresql");
    let Some((scheme, rest)) = url.split_once("://").filter(postgres) else { return vec![url.to_owned()] };
    let (authority, name) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_everything_else() {
        for (url, servers) in [
            (
                "postgres://u:p,w@a:1,b/x?sslmode=disable",
                &["postgres://u:p,w@a:1/x?sslmode=disable", "postgres://u:p,w@b/x?sslmode=disable"][..],
            ),
            ("postgresql://[::1]:5432,[::2]", &["postgresql://[::1]:5432", "postgresql://[::2]"]),
            ("postgres://a/x,y", &["postgres://a/x,y"]),
            ("postgres:///x?host=/run/a,b", &["postgres:///x?host=/run/a,b"]),
            ("sqlite://a,b.db", &["sqlite://a,b.db"]),
            ("", &[""]),
        ] {
            assert_eq!(each_server(url), servers, "{url}");
        }
    }
}
