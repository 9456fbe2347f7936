//! A static answer of the same framework: one route, no middleware, the body and the headers of a check. A process of
//! its own, so that it is pinned and measured as the server is.

use crate::measure::Outcome;
use crate::pinning;
use actix_web::{App, HttpResponse, HttpServer, web};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// The process; killed when dropped.
pub struct Static {
    child: Child,
    pub address: SocketAddr,
}

impl Static {
    /// Starts this program again as `static-answer`, with a worker for each of these cores.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn start(cores: &[usize]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["static-answer", "--workers", &cores.len().max(1).to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = pinning::on(cores, move || Ok(command.spawn()?))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        // From here on it is killed when dropped, also if it says nothing.
        let mut started = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        started.address = line.trim().parse().map_err(|_| "the static answer did not start")?;
        Ok(started)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Static {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves it, and prints the address.
///
/// # Errors
/// When it cannot listen.
pub fn serve(workers: usize) -> Outcome<()> {
    const ANSWER: &str = r#"{"user_id":1,"app_id":"beyondvip","session_id":"0123456789abcdef0123456789abcdef","created_at":"2026-11-24T02:52:26Z","expires_at":"2026-12-08T02:52:26Z"}"#;
    let app = || {
        let answer = || async {
            HttpResponse::Ok()
                .insert_header(("X-Request-Id", "0123456789abcdef"))
                .insert_header(("Cache-Control", "no-store"))
                .insert_header(("X-Content-Type-Options", "nosniff"))
                .content_type("application/json")
                .body(ANSWER)
        };
        App::new().route("/api/v1/sessions/current", web::get().to(answer))
    };
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(app).workers(workers).backlog(8192).max_connections(16_384);
        let server = server.bind(("127.0.0.1", 0))?;
        for address in server.addrs() {
            println!("{address}");
        }
        Ok(server.run().await?)
    })
}
