//! A real HAProxy that spreads requests over nodes, asks whether they are ready, and repeats nothing.

use crate::redis::free_port;
use crate::wait::Wait;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running HAProxy; ended when dropped.
pub struct HaProxy {
    /// Where clients reach it.
    pub address: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl HaProxy {
    /// Before these nodes, which are called `n0`, `n1` and so on. It asks each every 200 ms, and sends nothing to one that
    /// was not ready twice.
    ///
    /// # Panics
    /// When HAProxy is not installed, or starts on none of five ports.
    pub async fn start(nodes: &[SocketAddr]) -> Self {
        let mut said = String::new();
        for _ in 0..5 {
            // If another process has taken the port meanwhile, HAProxy ends, and another port is tried.
            match Self::try_start(nodes).await {
                Ok(proxy) => return proxy,
                Err(log) => said = log,
            }
        }
        panic!("HAProxy does not come up: is it installed (apt-get install haproxy)? {said}")
    }

    /// It, or what it said before it ended.
    async fn try_start(nodes: &[SocketAddr]) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let servers = nodes.iter().enumerate().map(|(at, node)| format!("    server n{at} {node}\n"));
        let text = format!(
            "global\n    stats socket {folder}/socket level admin\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n\
             frontend clients\n    bind {address}\n    default_backend nodes\n\
             backend nodes\n    balance roundrobin\n    http-reuse always\n    retries 0\n    timeout check 5s\n    \
             option httpchk GET /health/ready\n    default-server check inter 200ms fall 2 rise 1\n{servers}",
            folder = folder.path().display(),
            servers = servers.collect::<String>(),
        );
        let (file, log) = (folder.path().join("haproxy.cfg"), folder.path().join("log"));
        std::fs::write(&file, text).expect("a file");
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        command.stderr(std::fs::File::create(&log).expect("a file"));
        let child = command.spawn().map_err(|error| error.to_string())?;
        let mut proxy = Self { address, folder, child };
        let wait = Wait::begin();
        while TcpStream::connect(address).await.is_err() {
            if proxy.child.try_wait().expect("a child of this process").is_some() {
                return Err(std::fs::read_to_string(log).unwrap_or_default());
            }
            wait.pause("HAProxy listens").await;
        }
        Ok(proxy)
    }

    /// From now on the node `n{at}` is at this address.
    pub fn moved(&self, at: usize, node: SocketAddr) {
        self.command(&format!("set server nodes/n{at} addr {} port {}", node.ip(), node.port()));
    }

    /// A number or word that HAProxy has of a node (`n0`, …) or of all (`BACKEND`), by the name of its column: `status`,
    /// `stot`, `econ`, …
    ///
    /// # Panics
    /// When it has none.
    pub fn stat(&self, node: &str, column: &str) -> String {
        let table = self.command("show stat");
        let mut lines = table.lines().map(|line| line.trim_start_matches("# ").split(',').collect::<Vec<_>>());
        let names = lines.next().expect("a head");
        let at = names.iter().position(|name| *name == column).unwrap_or_else(|| panic!("no {column} in {names:?}"));
        let row = lines.find(|row| row.first() == Some(&"nodes") && row.get(1) == Some(&node));
        row.unwrap_or_else(|| panic!("no {node} in {table}"))[at].to_owned()
    }

    fn command(&self, line: &str) -> String {
        let mut socket = UnixStream::connect(self.folder.path().join("socket")).expect("HAProxy runs");
        socket.write_all(format!("{line}\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    }
}
