//! A real PgBouncer before a database, with `pool_mode = transaction`.

use crate::postgres::{as_server, folder_of_server};
use crate::redis::free_port;
use crate::wait::found;
use sqlx::{Connection as _, PgConnection};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// A running PgBouncer; ended when dropped.
pub struct PgBouncer {
    url: String,
    folder: TempDir,
    child: Child,
}

impl PgBouncer {
    /// Shares so many connections of the superuser to this database: `postgres://postgres@127.0.0.1:5432/name`.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn before(database: &str, connections: usize) -> Self {
        for _ in 0..5 {
            let mut bouncer = Self::launch(database, connections, free_port());
            // If another process has taken the port meanwhile, the program ends, and another port is tried.
            if bouncer.answers().await {
                return bouncer;
            }
        }
        panic!("PgBouncer does not start: is it installed (apt-get install pgbouncer)?");
    }

    fn launch(database: &str, connections: usize, port: u16) -> Self {
        let (server, name) = database.rsplit_once('/').expect("the URL names a database");
        let (_, server_port) = server.rsplit_once(':').expect("the URL has a port");
        let folder = folder_of_server();
        let file = |name: &str| folder.path().join(name);
        let settings = format!(
            "[databases]\n{name} = host=127.0.0.1 port={server_port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {connections}\n\
             ignore_startup_parameters = extra_float_digits\n",
            file("users").display()
        );
        fs::write(file("settings"), settings).expect("a file");
        fs::write(file("users"), "\"postgres\" \"\"\n").expect("a file");
        let log = fs::File::create(file("log")).expect("a file");
        let mut command = as_server(Path::new("/usr/sbin/pgbouncer"));
        command.arg(file("settings")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("setpriv runs");
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/{name}"), folder, child }
    }

    /// The URL of the database through it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until it takes a connection; false if it ended instead.
    async fn answers(&mut self) -> bool {
        found("PgBouncer answers", async || {
            if !self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                return Some(false);
            }
            let _ = PgConnection::connect(&self.url).await.ok()?.close().await;
            Some(true)
        })
        .await
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
