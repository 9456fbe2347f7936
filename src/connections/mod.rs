//! Connections: how many there may be, and how long each may keep the server waiting.
//!
//! ```text
//!  accept ──▶ admission (in all, per address) ──▶ stream (deadlines) ──▶ actix-http ──▶ the routes of `http`
//!                     └─ 503 and closed                └─ 408 and closed
//! ```
//!
//! actix-http times the head of a connection's first request and nothing else that a slow client may draw out, and
//! actix-web counts no addresses; so both are done here, around the stream. May name `http`; knows no actor.

mod admission;
pub mod files;
mod stream;

use crate::http::{self, AppState};
use actix_http::{HttpService, KeepAlive, Protocol, Request};
use actix_server::Server;
use actix_service::{ServiceFactoryExt as _, apply_fn_factory, map_config};
use actix_web::dev::{AppConfig, Service as _, fn_service};
use actix_web::{App, Error, web};
use admission::Admission;
use ipnet::IpNet;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use stream::{Phases, Stream};
use tokio::net::TcpStream;

/// What connections may take.
#[derive(Debug, Clone)]
pub struct ConnectionPolicy {
    /// Connections in all.
    pub most: usize,
    /// Connections of one address (IPv6: of one /64, which is what one customer holds).
    pub per_address: usize,
    /// Whose addresses are not counted: many clients stand behind each.
    pub trusted_proxies: Vec<IpNet>,
    /// From the first byte of a request to the last byte of its head.
    pub head: Duration,
    /// From an answer to the first byte of the next request.
    pub keep_alive: Duration,
    /// For a client to take any part of an answer.
    pub answer: Duration,
}

impl Default for ConnectionPolicy {
    fn default() -> Self {
        Self {
            most: 16_384,
            per_address: 512,
            trusted_proxies: Vec::new(),
            head: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            answer: Duration::from_secs(10),
        }
    }
}

/// Answers on `listener` with `workers` threads, each with a state of its own. A stop in order waits `shutdown` seconds
/// for requests under way.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve<F>(
    listener: TcpListener,
    workers: usize,
    shutdown: u64,
    policy: ConnectionPolicy,
    state: F,
) -> io::Result<Server>
where
    F: Fn() -> AppState + Send + Clone + 'static,
{
    // Past this bound actix-server stops accepting, and who comes then waits. It is above ours, which refuses at once,
    // by so much as to hold those who are being refused: a crowd that comes all at once is then told in turn.
    let accepted = policy.most + policy.most / 16 + 2 * admission::LINGERING;
    let builder = Server::build().workers(workers).shutdown_timeout(shutdown).disable_signals();
    let builder = builder.max_concurrent_connections(accepted.div_ceil(workers));
    let admission = Arc::new(Admission::new(policy));
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let (state, stopping, admission) = (web::Data::new(state()), stopping.clone(), Arc::clone(&admission));
        let app = App::new().configure(|routes| http::configure(routes, state));
        let app = map_config(app, |()| AppConfig::default()).map_err(|error: Error| error.error_response());
        // A request is handed over when its head is whole: from here on the server's own bounds hold, until it answers.
        let app = apply_fn_factory(app, |request: Request, app| {
            let phases = request.conn_data::<Phases>().cloned();
            if let Some(phases) = &phases {
                phases.taken();
            }
            let answer = app.call(request);
            async move {
                let answer = answer.await;
                if let Some(phases) = &phases {
                    phases.answered();
                }
                answer
            }
        });
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            // A client that closes its connection is gone. None in use half-closes one, and a proxy reads it the same way.
            .h1_allow_half_closed(false)
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(Duration::from_secs(1))
            .on_connect_ext(|stream: &Stream, data| {
                data.insert(stream.phases());
            })
            .finish(app);
        fn_service(move |tcp: TcpStream| {
            let admission = Arc::clone(&admission);
            async move {
                match admission.admit(&tcp) {
                    Ok(place) => {
                        let peer = tcp.peer_addr().ok();
                        Ok((Stream::new(tcp, place, admission.policy()), Protocol::Http1, peer))
                    }
                    Err(refusal) => {
                        refusal.tell(tcp).await;
                        Err(())
                    }
                }
            }
        })
        .and_then(http.map_err(|_| ()))
    };
    Ok(builder.listen("http", listener, service)?.run())
}
