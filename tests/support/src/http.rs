//! An HTTP server on a free port and a thread of its own, for parts of the world that speak HTTP.

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, dev};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;

/// A running server; ended when dropped.
pub struct Http {
    port: u16,
    server: dev::ServerHandle,
}

impl Http {
    /// Serves the routes that `configure` adds.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Self {
        let (ready, started) = mpsc::channel();
        std::thread::spawn(move || {
            let serve = async move {
                let server = HttpServer::new(move || App::new().configure(configure.clone()));
                let server = server.workers(1).disable_signals().shutdown_timeout(0).bind(("127.0.0.1", 0));
                let server = server.expect("a free port");
                let port = server.addrs()[0].port();
                let server = server.run();
                ready.send((port, server.handle())).expect("the test waits");
                server.await
            };
            actix_web::rt::System::new().block_on(serve)
        });
        let (port, server) = started.recv().expect("the server starts");
        Self { port, server }
    }

    /// Address and port.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}
