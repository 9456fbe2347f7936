//! The end of a listener: it drains, then it closes, and what was accepted is answered.
//!
//! | stage | new connections | answers | idle connections |
//! | --- | --- | --- | --- |
//! | serving | accepted | keep the connection | stay |
//! | draining | accepted | close the connection | stay: a request on them is answered |
//! | closing | those that are established | close the connection | close if no request has arrived |
//!
//! actix-http closes idle connections without looking whether a request has arrived, and actix-server closes the listener
//! with the connections that the kernel holds for it. Both would lose requests, so both are done here.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long handshakes that have begun may take, and threads to take the connections that were accepted for them.
const LAST_CONNECTIONS: Duration = Duration::from_millis(100);

/// The stage of one listener. Its threads, readiness and what stops the server share it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Read for each answer.
    draining: AtomicBool,
    closing: watch::Sender<bool>,
    /// Another handle of the socket that actix-server accepts from.
    listener: Mutex<Option<TcpListener>>,
}

impl Stopping {
    pub(super) fn listens(&self, listener: TcpListener) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// From now on each answer closes its connection.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Closes idle connections, and lets no new ones in. Returns when those that were established are accepted; then
    /// stopping the server closes the listener and loses none.
    pub async fn close(&self) {
        self.drain();
        self.0.closing.send_replace(true);
        if let Some(listener) = self.release() {
            refuse_handshakes(&listener);
            tokio::time::sleep(LAST_CONNECTIONS).await;
        }
    }

    /// Gives up the handle of the socket, which would keep it open.
    pub fn release(&self) -> Option<TcpListener> {
        self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ready when the listener closes.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut closing = self.0.closing.subscribe();
        async move {
            // An error means that the listener is gone.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }
}

/// Drops the packets that ask for a connection. A client asks again after a second, and the listener is closed by then.
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};
    // Classic BPF (bpf(4)). A packet begins with the header of TCP here; byte 13 has the flags, and 2 is SYN (RFC 9293 §3.1).
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x45, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "connections are let in until the listener closes");
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) {}
