//! A TCP proxy that tests close: a network that swallows everything, or cuts connections.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Open,
    /// Connections stay, and new ones are taken, but nothing arrives.
    BlackHole,
    /// Connections are cut, and new ones refused by closing them.
    Cut,
}

/// A proxy before a server; ended when dropped.
pub struct Gate {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    target: watch::Sender<SocketAddr>,
    task: AbortHandle,
}

impl Gate {
    /// Forwards to `target`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let weather = watch::Sender::new(Weather::Open);
        let target = watch::Sender::new(target);
        let task = tokio::spawn(accept(listener, target.subscribe(), weather.subscribe())).abort_handle();
        Self { address, weather, target, task }
    }

    /// Where to connect instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections there; those that are open stay where they lead.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// From now on nothing arrives, and nobody is told.
    pub fn swallow(&self) {
        self.weather.send_replace(Weather::BlackHole);
    }

    /// Cuts all connections, and new ones too.
    pub fn cut(&self) {
        self.weather.send_replace(Weather::Cut);
    }

    /// Forwards again. Connections from before [`Gate::swallow`] stay dead.
    pub fn open(&self) {
        self.weather.send_replace(Weather::Open);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: watch::Receiver<SocketAddr>, weather: watch::Receiver<Weather>) {
    let mut running = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let target = *target.borrow();
        running.spawn(forward(near, target, weather.clone()));
        while running.try_join_next().is_some() {}
    }
}

async fn forward(near: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = copy(near_in, far_out, weather.clone()) => {}
        () = copy(far_in, near_out, weather.clone()) => {}
        () = becomes(&mut weather, |weather| weather == Weather::Cut) => {}
    }
}

/// Once the weather was bad, a connection never forwards again: what was swallowed is missing in its stream.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            biased;
            () = becomes(&mut weather, |weather| weather != Weather::Open) => std::future::pending().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) if to.write_all(&buffer[..length]).await.is_err() => return,
                Ok(_) => {}
            },
        }
    }
}

async fn becomes(weather: &mut watch::Receiver<Weather>, what: impl Fn(Weather) -> bool) {
    // An error means that the gate is gone, and this task with it.
    let _ = weather.wait_for(|weather| what(*weather)).await;
}
