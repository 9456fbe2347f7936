//! A TCP proxy that behaves like a broken network: it drops all bytes, or cuts connections.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Open,
    /// Connections stay open and new ones are accepted, but no byte arrives.
    BlackHole,
    /// Connections are cut, and new ones are closed at once.
    Cut,
}

/// A proxy in front of a server; ended when dropped.
pub struct Gate {
    address: SocketAddr,
    network: watch::Sender<Network>,
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
        let network = watch::Sender::new(Network::Open);
        let target = watch::Sender::new(target);
        let task = tokio::spawn(accept(listener, target.subscribe(), network.subscribe())).abort_handle();
        Self { address, network, target, task }
    }

    /// The address to connect to instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to another target. Open ones stay as they are.
    pub fn redirect_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// From now on no byte arrives, and no connection is closed.
    pub fn swallow(&self) {
        self.network.send_replace(Network::BlackHole);
    }

    /// Cuts all connections, new ones too.
    pub fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    /// Forwards again. Connections from before [`Gate::swallow`] stay dead.
    pub fn open(&self) {
        self.network.send_replace(Network::Open);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: watch::Receiver<SocketAddr>, network: watch::Receiver<Network>) {
    let mut running = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let target = *target.borrow();
        running.spawn(forward(near, target, network.clone()));
        while running.try_join_next().is_some() {}
    }
}

async fn forward(near: TcpStream, target: SocketAddr, mut network: watch::Receiver<Network>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = copy(near_in, far_out, network.clone()) => {}
        () = copy(far_in, near_out, network.clone()) => {}
        () = becomes(&mut network, |network| network == Network::Cut) => {}
    }
}

/// A connection that has lost bytes never forwards again: its stream has a gap.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut network: watch::Receiver<Network>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            biased;
            () = becomes(&mut network, |network| network != Network::Open) => std::future::pending().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) if to.write_all(&buffer[..length]).await.is_err() => return,
                Ok(_) => {}
            },
        }
    }
}

async fn becomes(network: &mut watch::Receiver<Network>, is: impl Fn(Network) -> bool) {
    // An error means that the gate was dropped, and this task ends with it.
    let _ = network.wait_for(|network| is(*network)).await;
}
