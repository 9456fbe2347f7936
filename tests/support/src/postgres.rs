//! A real PostgreSQL: an instance of one test, which the test stalls, kills and restarts, or a fresh database on a
//! shared instance.

use crate::wait::{eventually, eventually_blocking, found};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The variable with the URL of the shared instance, for a superuser: `postgres://postgres@127.0.0.1:5432/postgres`.
pub const SHARED: &str = "PORTCULLIS_TEST_POSTGRES";

/// The superuser needs no password; every other role does.
const ACCESS: &str = "\
host all,replication postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

/// An instance of one test on a free port; ended when dropped.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    server: Child,
    settings: &'static [&'static str],
}

/// A test loses nothing when the machine loses power.
const QUICK: &[&str] =
    &["fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_wal_size=128MB", "jit=off", "autovacuum=off"];

impl Postgres {
    /// Creates and starts one, which takes a second or two. It does not write to disk before it answers.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(QUICK).await
    }

    /// One that writes to disk before it answers, as in production: with the settings of a fresh installation.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub async fn start_durable() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &'static [&'static str]) -> Self {
        let folder = folder_of_server();
        let cluster = folder.path().join("cluster");
        let arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"];
        succeed(as_server(&program("initdb")).args(arguments).arg(&cluster));
        fs::write(cluster.join("pg_hba.conf"), ACCESS).expect("a file in the cluster");
        Self::launched(folder, settings).await
    }

    /// A standby of this one, which follows it until it is promoted.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn standby(&self) -> Self {
        let folder = folder_of_server();
        let mut copy = as_server(&program("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname"]).arg(self.url("postgres"));
        succeed(copy.arg("-D").arg(folder.path().join("cluster")));
        Self::launched(folder, self.settings).await
    }

    /// Waits until this standby has everything that was written on its primary up to now.
    ///
    /// # Panics
    /// When it does not get it.
    pub async fn caught_up_with(&self, primary: &Self) {
        let mut there = PgConnection::connect(&primary.url("postgres")).await.expect("the primary answers");
        let written = sqlx::query_scalar::<_, String>("SELECT pg_current_wal_lsn()::text").fetch_one(&mut there).await;
        let mut here = PgConnection::connect(&self.url("postgres")).await.expect("the standby answers");
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", written.expect("a position"));
        eventually("the standby has caught up", async || {
            let reached = sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(reached.as_str()));
            reached.fetch_one(&mut here).await.is_ok_and(|has_it| has_it)
        })
        .await;
    }

    /// Makes a standby the primary. Returns when it takes writes.
    ///
    /// # Panics
    /// When it does not.
    pub fn promote(&self) {
        succeed(as_server(&program("pg_ctl")).args(["promote", "-w", "-D"]).arg(self.folder.path().join("cluster")));
    }

    /// Starts it again after [`Postgres::kill`] as a standby, which follows nobody. Returns when it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn restart_as_standby(&mut self) {
        fs::write(self.folder.path().join("cluster/standby.signal"), "").expect("a file in the cluster");
        self.restart().await;
    }

    async fn launched(folder: TempDir, settings: &'static [&'static str]) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let mut server = launch(folder.path(), port, settings).expect("postgres runs");
            if answers(&mut server, port).await {
                return Self { folder, port, server, settings };
            }
        }
        panic!("PostgreSQL did not start: {}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
    }

    /// The URL of one of its databases, for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the superuser.
    ///
    /// # Panics
    /// When they fail.
    pub async fn execute(&self, database: &str, statements: &'static str) {
        execute(&self.url(database), statements).await;
    }

    /// Stops all its processes (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Panics
    /// When the postmaster does not stop.
    pub fn stall(&self) {
        // The postmaster first: once it has stopped, it starts no further process.
        let postmaster = self.server.id();
        send(Signal::STOP, &[postmaster]);
        eventually_blocking("the postmaster has stopped", || {
            status(postmaster, "State:").is_none_or(|state| state.starts_with(['T', 'Z']))
        });
        send(Signal::STOP, &self.processes());
    }

    /// Undoes [`Postgres::stall`].
    pub fn resume(&self) {
        send(Signal::CONT, &self.processes());
    }

    /// Kills every process of it (SIGKILL); returns when none is left.
    ///
    /// # Panics
    /// When one stays.
    pub fn kill(&mut self) {
        self.stall();
        send(Signal::KILL, &self.processes());
        let _ = self.server.wait();
        eventually_blocking("all of it has gone", || {
            let left = self.processes();
            send(Signal::KILL, &left);
            left.is_empty()
        });
    }

    /// Starts it again after [`Postgres::kill`], on the same port with the same data. Returns when it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn restart(&mut self) {
        self.server = launch(self.folder.path(), self.port, self.settings).expect("postgres runs");
        assert!(answers(&mut self.server, self.port).await, "PostgreSQL did not start again");
    }

    /// All processes whose working directory is the cluster. This includes one that is no child of the postmaster's,
    /// because it was being started when the postmaster ended.
    fn processes(&self) -> Vec<u32> {
        let Ok(cluster) = self.folder.path().join("cluster").canonicalize() else { return Vec::new() };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let works_there = |number: &u32| fs::read_link(format!("/proc/{number}/cwd")).is_ok_and(|cwd| cwd == cluster);
        numbers.filter(works_there).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}

/// A database of one test; dropped with this value.
pub struct Database {
    url: String,
    server: String,
    name: String,
    /// The instance, if none is shared. Dropped last.
    own: Option<Postgres>,
}

impl Database {
    /// Its URL, for the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All of it as text (`pg_dump`).
    ///
    /// # Panics
    /// When it cannot be dumped.
    pub fn dump(&self) -> String {
        let dumped = Command::new(program("pg_dump")).arg("--inserts").arg(&self.url).output().expect("pg_dump runs");
        assert!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr));
        String::from_utf8(dumped.stdout).expect("a dump is text")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.own.is_none() {
            let maintenance = format!("--maintenance-db={}", self.server);
            let _ = Command::new(program("dropdb")).args(["--force", "--if-exists", &maintenance, &self.name]).status();
        }
    }
}

/// A fresh database on the instance that [`SHARED`] names, or on a new instance.
///
/// # Panics
/// When there is no PostgreSQL.
pub async fn shared_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (server, own) = match std::env::var(SHARED) {
        Ok(url) => (url, None),
        Err(_) => {
            let own = Postgres::start().await;
            (own.url("postgres"), Some(own))
        }
    };
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&server, format!("CREATE DATABASE {name}")).await;
    let (base, _) = server.rsplit_once('/').expect("the URL names a database");
    Database { url: format!("{base}/{name}"), server: server.clone(), name, own }
}

async fn execute(url: &str, statements: impl Into<String>) {
    let mut connection = PgConnection::connect(url).await.expect("the superuser may connect");
    let statements = sqlx::AssertSqlSafe(statements.into());
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("the statements are right");
}

fn launch(folder: &Path, port: u16, settings: &[&str]) -> io::Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut command = as_server(&program("postgres"));
    command.arg("-D").arg(folder.join("cluster")).args(["-p", &port.to_string()]);
    for setting in
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"].iter().chain(settings)
    {
        command.args(["-c", setting]);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

/// Waits until it takes a connection; false if it ended instead.
async fn answers(server: &mut Child, port: u16) -> bool {
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mut runs = || server.try_wait().is_ok_and(|ended| ended.is_none());
    found("PostgreSQL answers", async || {
        if !runs() {
            return Some(false);
        }
        let connection = PgConnection::connect(&url).await.ok()?;
        let _ = connection.close().await;
        Some(runs())
    })
    .await
}

/// A temporary folder of the user of [`as_server`].
pub(crate) fn folder_of_server() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if let Some((user, group)) = other_user() {
        chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
    }
    folder
}

/// A program that ends with the test, and runs as a user that PostgreSQL and PgBouncer accept: they refuse root.
pub(crate) fn as_server(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((user, group)) = other_user() {
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir("/");
    command
}

fn succeed(command: &mut Command) {
    let done = command.output().expect("the program runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// User and group of the account `postgres`, if the test runs as root.
fn other_user() -> Option<(u32, u32)> {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = accounts.lines().find(|line| root && line.starts_with("postgres:"))?;
    let mut numbers = line.split(':').skip(2).map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// The newest version installed. Debian does not put them in the path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.filter_map(|v| v.file_name().to_str()?.parse::<u32>().ok()).collect();
    versions.sort_unstable();
    versions.last().map_or_else(|| name.into(), |v| format!("/usr/lib/postgresql/{v}/bin/{name}").into())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// One line of `/proc/PID/status`.
fn status(process: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
}

fn send(signal: Signal, processes: &[u32]) {
    for process in processes {
        if let Some(process) = i32::try_from(*process).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, signal);
        }
    }
}
