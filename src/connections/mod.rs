//! Connections: how many are allowed, and how long a slow client may take.
//!
//! ```text
//!  accept ──▶ admission (total, per address) ──▶ stream (deadlines) ──▶ actix-http ──▶ `http`
//!                     └─ 503 and closed                └─ 408 and closed
//! ```
//!
//! actix-http limits only the time for the head of the first request, and actix-web does not count addresses. So both are
//! done here, around the stream. What answers a request is not decided here: clients and operators have listeners of their
//! own.

mod admission;
mod metrics;
pub mod open_files;
mod priority;
mod stopping;
mod stream;

use actix_http::{ConnectionType, HttpService, KeepAlive, Protocol, Request, Response, Version};
use actix_server::Server;
use actix_service::{ServiceFactoryExt as _, fn_service};
use actix_web::body::BoxBody;
use admission::Admission;
use ipnet::IpNet;
pub use metrics::ConnectionMetrics;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
pub use stopping::Stopping;
use stream::{Deadlines, Stream};
use tokio::net::TcpStream;

/// Limits on connections.
#[derive(Debug, Clone)]
pub struct ConnectionPolicy {
    /// Connections in total.
    pub max_connections: usize,
    /// Connections of one address (IPv6: of one /64, the usual size of a customer).
    pub per_address: usize,
    /// Proxies, whose addresses are not counted because each serves many clients.
    pub trusted_proxies: Vec<IpNet>,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// From an answer to the first byte of the next request.
    pub keep_alive: Duration,
    /// How long a client may not read any part of an answer.
    pub answer_timeout: Duration,
}

/// Serves `listener` with `workers` threads. Each of them calls `start` once, for what answers its requests. A graceful
/// stop begins with [`Stopping::close`] and waits `shutdown` seconds for open requests.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve<F, A>(
    listener: TcpListener,
    workers: usize,
    shutdown: u64,
    policy: ConnectionPolicy,
    metrics: Arc<ConnectionMetrics>,
    stopping: &Stopping,
    start: F,
) -> io::Result<Server>
where
    F: Fn() -> A + Send + Clone + 'static,
    A: AsyncFn(Request) -> Response<BoxBody> + 'static,
{
    // At this limit actix-server stops accepting, and new connections wait. Ours refuses at once and must be reached
    // first. The difference leaves room for connections that are being refused.
    let accepted = policy.max_connections + policy.max_connections / 16 + 2 * admission::LINGERING;
    let builder = Server::build().workers(workers).shutdown_timeout(shutdown).disable_signals();
    let builder = builder.max_concurrent_connections(accepted.div_ceil(workers));
    let admission = Arc::new(Admission::new(policy, metrics));
    stopping.listens(listener.try_clone()?);
    let stopping = stopping.clone();
    let service = move || {
        let (stopping, admission) = (stopping.clone(), Arc::clone(&admission));
        priority::lower();
        let answering = Rc::new((start(), stopping.clone()));
        // A request arrives here when its head is complete. Until the answer, the limits of the HTTP layer apply.
        let answer = move |request: Request| {
            let answering = Rc::clone(&answering);
            async move {
                let (handler, stopping) = &*answering;
                let deadlines = request.conn_data::<Deadlines>().cloned();
                if let Some(deadlines) = &deadlines {
                    deadlines.head_received();
                }
                let keep_alive = request.head().connection_type() == ConnectionType::KeepAlive;
                let mut answer = handler(request).await;
                // actix-http reuses the head of an earlier answer with its version, and sets that of this request later.
                // With HTTP/1.0 `keep_alive` is always false.
                answer.head_mut().version = Version::HTTP_11;
                if stopping.is_draining() {
                    answer.head_mut().set_connection_type(ConnectionType::Close);
                }
                if let Some(deadlines) = &deadlines {
                    deadlines.answered(keep_alive && answer.keep_alive());
                }
                Ok::<_, Infallible>(answer)
            }
        };
        let http = HttpService::build()
            // A client that closes its side is gone. No known client half-closes, and proxies treat it the same way.
            .h1_allow_half_closed(false)
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(Duration::from_secs(1))
            .on_connect_ext(|stream: &Stream, data| {
                data.insert(stream.deadlines());
            })
            .finish(answer);
        fn_service(move |tcp: TcpStream| {
            let (admission, closed) = (Arc::clone(&admission), stopping.closed());
            async move {
                match admission.admit(&tcp) {
                    Ok(admitted) => {
                        let peer = tcp.peer_addr().ok();
                        Ok((Stream::new(tcp, admitted, admission.policy(), closed), Protocol::Http1, peer))
                    }
                    Err(refusal) => {
                        // Boxed: every connection has room for the largest future here.
                        Box::pin(refusal.answer(tcp)).await;
                        Err(())
                    }
                }
            }
        })
        .and_then(http.map_err(|_| ()))
    };
    Ok(builder.listen("http", listener, service)?.run())
}
