//! The two processes that are compared: a release server under the load test profile, and a static answer of the
//! same framework with as many workers and the same headers.

use crate::Arguments;
use crate::http::{Connection, request};
use crate::measure::Outcome;
use actix_web::{App, HttpResponse, HttpServer, web};
use portcullis_testkit::server::{Server, Setup};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The password of every user here.
pub const PASSWORD: &str = "a load test signs in";

/// A release server with users, in a folder that goes with it.
pub struct Portcullis {
    /// The process.
    pub server: Server,
    /// How many users it has: `user0@example.com` and so on.
    pub users: usize,
    _folder: TempDir,
}

impl Portcullis {
    /// Starts it.
    ///
    /// # Errors
    /// When the binary is not built, or does not start.
    pub fn start(arguments: &Arguments, users: usize, settings: &[(&'static str, &str)]) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let binary = arguments
            .binary
            .canonicalize()
            .map_err(|_| format!("{} is not there: cargo build --release builds it", arguments.binary.display()))?;
        let settings = settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let setup = Setup { binary, folder: folder.path().to_owned(), profile: "loadtest", settings };
        for number in 0..users {
            let email = format!("user{number}@example.com");
            let names = ["--first-name", "Load", "--last-name", "Test", "--password-stdin"];
            setup.run(&[&["users", "add", "--email", &email][..], &names].concat(), PASSWORD)?;
        }
        Ok(Self { server: setup.start()?, users, _folder: folder })
    }

    /// Sign-ins of one connection: each user in turn, on a device of the connection's own.
    pub fn sign_ins(&self, connection: usize) -> Vec<Vec<u8>> {
        let password = PASSWORD.replace(' ', "+");
        let sign_in = |user: usize| {
            let form = format!(
                "email=user{user}%40example.com&password={password}&device_token=device-{connection}&mobile_os=ios"
            );
            request("POST", "/api/v1/tokens", None, &form)
        };
        // Each connection begins with another user.
        (0..self.users).map(|turn| sign_in((connection + turn) % self.users)).collect()
    }

    /// Signs in once and makes the check of that token.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn check(&self, connection: usize) -> Outcome<Vec<u8>> {
        let mut open = Connection::open(self.server.address()).await?;
        let (status, body) = open.call(&self.sign_ins(connection)[0]).await?;
        let body = String::from_utf8_lossy(body);
        let token = body.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let token = token.ok_or_else(|| format!("no token in {status}: {body}"))?;
        let check = request("GET", "/api/v1/sessions/current", Some(token), "");
        match open.call(&check).await? {
            (200, _) => Ok(check),
            (status, _) => Err(format!("a check of a new token is answered {status}").into()),
        }
    }
}

/// The static answer's process; killed when dropped.
pub struct Static {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Static {
    /// Starts this program again as `static-answer`.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn start() -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("static-answer").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse();
        let mut started = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        started.address = address?;
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

/// The static answer: as long as that of a check, with the headers of one, on as many workers as the server's.
///
/// # Errors
/// When it cannot listen.
pub fn static_answer() -> Outcome<()> {
    const ANSWER: &str = r#"{"user_id":1,"app_id":"beyondvip","session_id":"0123456789abcdef0123456789abcdef","created_at":"2026-11-24T02:52:26Z","expires_at":"2026-12-08T02:52:26Z"}"#;
    let app = || {
        let answer = || async {
            HttpResponse::Ok()
                .insert_header(("X-Request-Id", "0123456789abcdef"))
                .insert_header(("Cache-Control", "no-store"))
                .content_type("application/json")
                .body(ANSWER)
        };
        App::new().route("/api/v1/sessions/current", web::get().to(answer))
    };
    actix_web::rt::System::new().block_on(async {
        let workers = std::thread::available_parallelism()?.get();
        let server = HttpServer::new(app).workers(workers).bind(("127.0.0.1", 0))?;
        for address in server.addrs() {
            println!("{address}");
        }
        Ok(server.run().await?)
    })
}
