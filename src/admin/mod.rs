//! The listener for operators, `admin.bind`: what Prometheus reads at `/metrics`, and the console.
//!
//! `sources.rs` knows who counts, and collects at a scrape. `exposition.rs` has all names, units and labels and writes the
//! text. `process.rs` asks the system about this process, and `history.rs` keeps the last hour for the console. The listener
//! has a thread of its own, so that a scrape takes no time of the threads that answer clients. `/metrics` has no password:
//! everybody who reaches the address can read the numbers, which name no user, address or secret.

mod exposition;
mod history;
mod process;
mod sources;

pub use history::MINUTE;
pub use sources::{Actor, Sources, Worker};

use crate::connections::{self, ConnectionPolicy, Stopping};
use actix_http::{Request, Response};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::Server;
use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// Far more than there are scrapers: connections that others leave open must not keep them out.
const CONNECTIONS: usize = 256;
/// For a head, for a client that does not read, and for the pause before the next request. Shorter than the usual scrape
/// intervals, so that Prometheus has noticed the close before it asks again.
const TIME_OUT: Duration = Duration::from_secs(4);

/// Serves `listener`: the metrics, and by the answerer that `start` makes everything else. A stop waits for nobody.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve<F, A>(listener: TcpListener, sources: Arc<Sources>, start: F) -> io::Result<Server>
where
    F: Fn() -> A + Clone + Send + 'static,
    A: AsyncFn(Request) -> Response<BoxBody> + 'static,
{
    let policy = ConnectionPolicy {
        max_connections: CONNECTIONS,
        per_address: CONNECTIONS,
        trusted_proxies: Vec::new(),
        head_timeout: TIME_OUT,
        keep_alive: TIME_OUT,
        answer_timeout: TIME_OUT,
    };
    connections::serve(listener, 1, 0, policy, Arc::default(), &Stopping::default(), move || {
        let (sources, others) = (Arc::clone(&sources), start());
        async move |request: Request| match metrics(&sources, &request).await {
            Some(text) => text,
            None => others(request).await,
        }
    })
}

async fn metrics(sources: &Sources, request: &Request) -> Option<Response<BoxBody>> {
    if request.path() != "/metrics" || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let text = exposition::text(sources.read().await);
    let answer = HttpResponse::Ok().content_type(CONTENT_TYPE).insert_header((CACHE_CONTROL, "no-store")).body(text);
    Some(answer.into())
}
