//! The listener for operators, `admin.bind`: what Prometheus reads at `/metrics`.
//!
//! `sources.rs` knows who counts, and collects at a scrape. `exposition.rs` has all names, units and labels and writes the
//! text. `process.rs` asks the system about this process. The listener has a thread of its own, so that a scrape takes no
//! time of the threads that answer clients. It asks nobody for a password: whoever reaches the address reads the numbers,
//! and they name no user, address or secret.

mod exposition;
mod process;
mod sources;

pub use sources::{Actor, Sources, Worker};

use actix_web::dev::Server;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{App, HttpResponse, HttpServer, web};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// A Prometheus, a second one, and somebody who looks.
const CONNECTIONS: usize = 32;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Prometheus asks every 15 to 60 s and keeps its connection.
const KEEP_ALIVE: Duration = Duration::from_secs(90);

/// Serves `listener`. A stop waits for nobody.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(listener: TcpListener, sources: Arc<Sources>) -> io::Result<Server> {
    let app = move || {
        let app = App::new().app_data(web::Data::from(Arc::clone(&sources)));
        app.route("/metrics", web::get().to(metrics)).route("/metrics", web::head().to(metrics))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(0)
        .disable_signals();
    Ok(server.listen(listener)?.run())
}

async fn metrics(sources: web::Data<Sources>) -> HttpResponse {
    let text = exposition::text(sources.read().await);
    HttpResponse::Ok().content_type(CONTENT_TYPE).insert_header((CACHE_CONTROL, "no-store")).body(text)
}
