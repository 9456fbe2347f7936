//! A real Redis Cluster: nodes as processes of their own, with replicas, of which tests kill some and move slots.

use crate::redis::Redis;
use crate::wait::{Wait, found};
use std::process::Output;
use tokio::process::Command;

/// How long a node must be silent until the others take it for dead, in milliseconds.
const NODE_TIMEOUT: &str = "1000";

/// A cluster of one test; ended when dropped.
pub struct RedisCluster {
    /// The primaries as it was created, then one replica of each, in the same order.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Some primaries without replicas.
    pub async fn start(primaries: usize) -> Self {
        Self::start_with(primaries, 0, &[]).await
    }

    /// Some primaries with a replica each.
    pub async fn start_with_replicas(primaries: usize) -> Self {
        Self::start_with(primaries, primaries, &[]).await
    }

    /// With further arguments as on redis-server's command line.
    ///
    /// # Panics
    /// When the cluster cannot be created.
    pub async fn start_with(primaries: usize, replicas: usize, arguments: &[&str]) -> Self {
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT];
        let apart = ["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"];
        let arguments = [&cluster[..], &apart, arguments].concat();
        let mut nodes = vec![];
        for _ in 0..primaries + replicas {
            nodes.push(Redis::start_with(&arguments).await);
        }
        let cluster = Self { nodes };
        cluster.create(primaries).await;
        cluster
    }

    async fn create(&self, primaries: usize) {
        for (number, node) in self.nodes.iter().enumerate() {
            told(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
            if number < primaries {
                let [first, last] = [number, number + 1].map(|number| number * 16_384 / primaries);
                told(node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(last - 1).to_string()]).await;
            }
        }
        let (first, others) = self.nodes.split_first().expect("one node at least");
        let bus = first.bus_port().expect("a node of a cluster").to_string();
        for node in others {
            told(node, &["CLUSTER", "MEET", "127.0.0.1", &first.address().port().to_string(), &bus]).await;
        }
        let wait = Wait::begin();
        while !self.all_say("INFO", &format!("cluster_known_nodes:{}\r", self.nodes.len())).await {
            wait.pause("all nodes know each other").await;
        }
        for (number, replica) in self.nodes.iter().skip(primaries).enumerate() {
            let id = self.id(number).await;
            // The primary may be known by its address, but not yet by its id.
            while asked(replica, &["CLUSTER", "REPLICATE", &id]).await != "+OK" {
                wait.pause("it becomes a replica").await;
            }
        }
        for what in ["cluster_slots_assigned:16384\r", "cluster_state:ok"] {
            while !self.all_say("INFO", what).await {
                wait.pause("the cluster serves").await;
            }
        }
        for replica in self.nodes.iter().skip(primaries) {
            while !asked(replica, &["INFO", "replication"]).await.contains("master_link_status:up") {
                wait.pause("the replicas follow").await;
            }
        }
    }

    /// Whether all living nodes say this of the cluster.
    pub async fn all_say(&self, about: &str, what: &str) -> bool {
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            if !asked(node, &["CLUSTER", about]).await.contains(what) {
                return false;
            }
        }
        true
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// The id of a node in the cluster.
    pub async fn id(&self, node: usize) -> String {
        asked(&self.nodes[node], &["CLUSTER", "MYID"]).await
    }

    /// The number of the living primary that has the slot of a key, once there is one.
    pub async fn owner(&self, key: &str) -> usize {
        found("a primary of this key", async || {
            for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_alive()) {
                if asked(node, &["EXISTS", key]).await.starts_with(':') {
                    return Some(number);
                }
            }
            None
        })
        .await
    }

    /// The slot of a key.
    pub async fn slot(&self, key: &str) -> String {
        asked(&self.nodes[0], &["CLUSTER", "KEYSLOT", key]).await.trim_start_matches(':').to_owned()
    }

    /// Begins to move a slot: from now on one primary redirects for keys that it does not have, and the other one takes
    /// them.
    pub async fn begin_move(&self, slot: &str, from: usize, to: usize) {
        told(&self.nodes[to], &["CLUSTER", "SETSLOT", slot, "IMPORTING", &self.id(from).await]).await;
        told(&self.nodes[from], &["CLUSTER", "SETSLOT", slot, "MIGRATING", &self.id(to).await]).await;
    }

    /// Moves a key of such a slot.
    pub async fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].address().port().to_string();
        told(&self.nodes[from], &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    }

    /// Ends the move of a slot. Returns when all nodes know of it: a node that takes a slot over gives itself an epoch above
    /// all that it knows.
    pub async fn end_move(&self, slot: &str, from: usize, to: usize) {
        let id = self.id(to).await;
        for node in [to, from] {
            told(&self.nodes[node], &["CLUSTER", "SETSLOT", slot, "NODE", &id]).await;
        }
        let info = asked(&self.nodes[to], &["CLUSTER", "INFO"]).await;
        let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_my_epoch:")).expect("it has one").trim();
        let wait = Wait::begin();
        for node in &self.nodes {
            let knows = |nodes: String| {
                let line = nodes.lines().find(|line| line.starts_with(&id)).map(str::to_owned);
                line.is_some_and(|line| line.split(' ').nth(6) == Some(epoch))
            };
            while !knows(asked(node, &["CLUSTER", "NODES"]).await) {
                wait.pause("all nodes know who has the slot").await;
            }
        }
    }

    /// Moves slots with their keys, by the tool that operators use.
    ///
    /// # Panics
    /// When it fails.
    pub async fn reshard(&self, from: usize, to: usize, slots: u32) {
        let at = self.nodes[from].address().to_string();
        // After an earlier move the nodes need a moment until they agree, and the tool insists on it.
        let wait = Wait::begin();
        while !Command::new("redis-cli").args(["--cluster", "check", &at]).output().await.is_ok_and(agrees) {
            wait.pause("the nodes agree").await;
        }
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "reshard", &at, "--cluster-yes"]);
        command.args(["--cluster-from", &self.id(from).await, "--cluster-to", &self.id(to).await]);
        command.args(["--cluster-slots", &slots.to_string()]);
        let done = command.kill_on_drop(true).output().await.expect("redis-cli can be run");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
}

fn agrees(check: Output) -> bool {
    check.status.success() && !String::from_utf8_lossy(&check.stdout).contains("[ERR]")
}

async fn asked(node: &Redis, words: &[&str]) -> String {
    node.command(words).await.expect("Redis answers")
}

async fn told(node: &Redis, words: &[&str]) {
    assert_eq!(asked(node, words).await, "+OK", "{words:?}");
}
