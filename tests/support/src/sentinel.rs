//! Real sentinels that watch a primary with its replicas.

use crate::redis::{Redis, free_port};
use crate::wait::{Wait, eventually};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The name by which sentinels of the kit know the primary.
pub const MASTER: &str = "main";

/// A sentinel; ended when dropped.
pub struct Sentinel {
    port: u16,
    _folder: TempDir,
    child: Child,
}

impl Sentinel {
    /// Three of them, of which two must agree. A primary that does not answer for a second is replaced.
    ///
    /// # Panics
    /// When they do not find each other and the replicas.
    pub async fn three(primary: &Redis, replicas: usize) -> Vec<Self> {
        let sentinels = vec![Self::start(primary).await, Self::start(primary).await, Self::start(primary).await];
        for sentinel in &sentinels {
            eventually("the sentinels know each other and the replicas", async || {
                let known = sentinel.command(&["SENTINEL", "MASTER", MASTER]).await;
                known.contains("num-other-sentinels\n2\n") && known.contains(&format!("num-slaves\n{replicas}\n"))
            })
            .await;
        }
        sentinels
    }

    async fn start(primary: &Redis) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, file) = (free_port(), folder.path().join("sentinel.conf"));
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 5000\n",
            primary.address().port()
        );
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let sentinel = Self { port, _folder: folder, child: command.spawn().expect("redis-server is installed") };
        let wait = Wait::begin();
        while sentinel.command(&["PING"]).await != "PONG\n" {
            wait.pause("the sentinel answers").await;
        }
        sentinel
    }

    /// What redis-cli prints.
    pub async fn command(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let answer = Command::new("redis-cli").args(["-p", &port]).args(words).output();
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        answer.map_or(String::new(), |answer| String::from_utf8_lossy(&answer.expect("redis-cli").stdout).into_owned())
    }

    /// The address of the primary, as this sentinel knows it.
    pub async fn primary(&self) -> Option<SocketAddr> {
        let answer = self.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).await;
        let (host, port) = answer.trim().split_once('\n')?;
        format!("{host}:{port}").parse().ok()
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// Stops it (SIGSTOP): connections stay open and nothing answers.
    pub async fn stall(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-s", "STOP", &id]).status().await.expect("kill can be run");
        assert!(status.success());
    }
}
