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

/// What `users generate` lets its users sign in with.
const PASSWORD: &str = "portcullis-load-test";

/// A release server with users, in a folder that goes with it.
pub struct Portcullis {
    /// The process.
    pub server: Server,
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
        setup.run(&["apps", "add", "beyondvip"], "")?;
        setup.run(&["users", "generate", "--count", &users.to_string()], "")?;
        Ok(Self { server: setup.start()?, _folder: folder })
    }

    /// The sign-in of one user, always on the same device: it replaces that device's token.
    pub fn sign_in(&self, user: usize) -> Vec<u8> {
        let form = format!(
            "email=load-{}%40example.invalid&password={PASSWORD}&device_token=device-{user}&mobile_os=ios",
            user + 1
        );
        request("POST", "/api/v1/tokens", None, &form)
    }

    /// Signs a user in: the token.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn token(&self, user: usize) -> Outcome<String> {
        let mut open = Connection::open(self.server.address()).await?;
        let (status, body) = open.call(&self.sign_in(user)).await?;
        let body = String::from_utf8_lossy(body);
        let token = body.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        Ok(token.ok_or_else(|| format!("no token in {status}: {body}"))?.to_owned())
    }

    /// Signs a user in and makes the check of that token.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn check(&self, user: usize) -> Outcome<Vec<u8>> {
        let mut open = Connection::open(self.server.address()).await?;
        let check = request("GET", "/api/v1/sessions/current", Some(&self.token(user).await?), "");
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
