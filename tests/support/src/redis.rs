//! A real redis-server on a free port, which tests stall, kill, restart and fill.

use crate::wait::{Wait, eventually};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A redis-server of one test. Keeps nothing on disk unless its arguments say so; ended when dropped.
pub struct Redis {
    port: u16,
    /// For the other nodes, if it is a node of a cluster.
    bus_port: Option<u16>,
    arguments: Vec<String>,
    folder: TempDir,
    child: Option<Child>,
}

impl Redis {
    /// With the settings of a fresh installation, but no snapshots.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With arguments as on redis-server's command line (`--maxmemory`, `3mb`, …).
    ///
    /// # Panics
    /// When redis-server is not installed, or starts on none of five ports.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let bus_port = arguments.iter().any(|argument| argument == "--cluster-enabled").then(free_port);
            let mut redis = Self { port: free_port(), bus_port, arguments: arguments.clone(), folder, child: None };
            // If another process has taken the port meanwhile, redis-server ends, and another port is tried.
            if redis.spawn().await.is_ok() {
                return redis;
            }
        }
        panic!("redis-server does not come up: is it installed (apt-get install redis-server)?")
    }

    /// A new replica of this primary, once it counts as one.
    ///
    /// # Panics
    /// As [`Redis::start_with`], and when it does not follow.
    pub async fn replica(&self) -> Self {
        self.replica_through(self.address()).await
    }

    /// The same, which connects to a gate before this primary.
    ///
    /// # Panics
    /// As [`Redis::replica`].
    pub async fn replica_through(&self, gate: SocketAddr) -> Self {
        let online =
            async || self.command(&["INFO", "replication"]).await.unwrap_or_default().matches("state=online").count();
        let before = online().await;
        let replica = Self::start_with(&["--replicaof", &format!("127.0.0.1 {}", gate.port())]).await;
        eventually("the replica follows", async || online().await > before).await;
        replica
    }

    /// Makes a replica a primary.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn promote(&self) {
        let reply = self.command(&["REPLICAOF", "NO", "ONE"]).await.expect("Redis answers");
        assert_eq!(reply, "+OK");
    }

    async fn spawn(&mut self) -> io::Result<()> {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
        // A replica may copy at once: it need not wait for others to come.
        command.args(["--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(self.folder.path()).args(&self.arguments);
        if let Some(port) = self.bus_port {
            command.args(["--cluster-port", &port.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let wait = Wait::begin();
        loop {
            if child.try_wait()?.is_some() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            if self.is_ours(&child).await {
                self.child = Some(child);
                return Ok(());
            }
            wait.pause("redis-server answers").await;
        }
    }

    /// Whether the server on the port is this child: it answers, and the child still runs.
    async fn is_ours(&self, child: &Child) -> bool {
        let answer = tokio::time::timeout(Duration::from_secs(2), self.command(&["PING"])).await;
        matches!(answer, Ok(Ok(answer)) if !answer.starts_with("-LOADING")) && child.id().is_some()
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Address and port.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port on which it talks to other nodes of its cluster.
    pub fn bus_port(&self) -> Option<u16> {
        self.bus_port
    }

    /// Whether it was not killed.
    pub fn is_alive(&self) -> bool {
        self.child.is_some()
    }

    /// Its working directory.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends one command and returns the raw reply (RESP2): `+PONG`, `:3`, `-ERR …`, or the text of a bulk string.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn command(&self, words: &[&str]) -> io::Result<String> {
        let stream = TcpStream::connect(self.address()).await?;
        let mut stream = BufReader::new(stream);
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line).await?;
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
            None => Ok(line),
            Some(length) => {
                let mut text = vec![0; length];
                stream.read_exact(&mut text).await?;
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
        }
    }

    /// One number of `INFO`, say `used_memory`.
    ///
    /// # Panics
    /// When it has no such number.
    pub async fn info(&self, name: &str) -> u64 {
        self.word(name).await.parse().unwrap_or_else(|_| panic!("{name} is no number"))
    }

    async fn word(&self, name: &str) -> String {
        let about = self.command(&["INFO", "everything"]).await.expect("Redis answers");
        let said = about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        said.unwrap_or_else(|| panic!("INFO has no {name}")).trim().to_owned()
    }

    /// Stops it (SIGSTOP): connections stay open and nothing answers.
    pub async fn stall(&self) {
        self.signal("STOP").await;
    }

    /// Undoes [`Redis::stall`].
    pub async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let id = self.child.as_ref().and_then(Child::id).expect("it runs").to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await.expect("kill can be run");
        assert!(status.success(), "kill -s {name}");
    }

    /// Kills it (SIGKILL).
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it can be killed");
        }
    }

    /// Kills it if it runs, and starts it again on the same port with the same arguments. It is then empty, unless it
    /// was told to write to disk.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.spawn().await.expect("the port is still free");
    }

    /// From now on it refuses every command that needs memory.
    ///
    /// # Panics
    /// When it cannot be filled.
    pub async fn fill(&self) {
        let reply = self.command(&["CONFIG", "SET", "maxmemory", "1"]).await.expect("Redis answers");
        assert_eq!(reply, "+OK");
        let reply = self.command(&["SET", "one-more", "x"]).await.expect("Redis answers");
        assert!(reply.starts_with("-OOM"), "{reply}");
    }

    /// Undoes [`Redis::fill`].
    ///
    /// # Panics
    /// When Redis does not answer.
    pub async fn empty(&self) {
        let reply = self.command(&["CONFIG", "SET", "maxmemory", "0"]).await.expect("Redis answers");
        assert_eq!(reply, "+OK");
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
