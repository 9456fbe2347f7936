//! Limits connections in total and per address. A connection over a limit is answered 503 and closed.

use super::{ConnectionMetrics, ConnectionPolicy};
use crate::http::error::Problem;
use crate::http::without_request;
use actix_web::http::StatusCode;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many refused connections may linger until their answer is read. Further ones are closed at once.
pub(super) const LINGERING: usize = 32;
/// How long one may linger. Closing a connection with unread data resets it, and the client would lose the answer.
const LINGER: Duration = Duration::from_secs(1);
/// How often refusals are logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Counts the connections of all threads of one server.
#[derive(Debug)]
pub(super) struct Admission {
    policy: ConnectionPolicy,
    metrics: Arc<ConnectionMetrics>,
    open: Mutex<Open>,
    lingering: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    logged: Option<Instant>,
}

/// One admitted connection. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admitted {
    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        &self.admission.metrics
    }
}

/// One refused connection, with its permit to linger.
#[derive(Debug)]
pub(super) struct Refusal(Option<OwnedSemaphorePermit>);

impl Admission {
    pub(super) fn new(policy: ConnectionPolicy, metrics: Arc<ConnectionMetrics>) -> Self {
        Self { policy, metrics, open: Mutex::default(), lingering: Arc::new(Semaphore::new(LINGERING)) }
    }

    pub(super) fn policy(&self) -> &ConnectionPolicy {
        &self.policy
    }

    pub(super) fn admit(self: &Arc<Self>, tcp: &TcpStream) -> Result<Admitted, Refusal> {
        let address = tcp.peer_addr().ok().map(|peer| peer.ip().to_canonical());
        self.count(address).map_err(|()| Refusal(Arc::clone(&self.lingering).try_acquire_owned().ok()))
    }

    fn count(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Admitted, ()> {
        let trusted = |address: &IpAddr| self.policy.trusted_proxies.iter().any(|net| net.contains(address));
        let address = address.filter(|address| !trusted(address)).map(subject);
        let mut open = self.open();
        let held = address.map_or(0, |address| open.by_address.get(&address).copied().unwrap_or_default());
        if open.total >= self.policy.max_connections || held >= self.policy.per_address {
            let of_address = held >= self.policy.per_address;
            if of_address {
                self.metrics.refused_address.add()
            } else {
                self.metrics.refused_total.add()
            }
            let (total, log) = (open.total, open.logged.is_none_or(|logged| logged.elapsed() > LOG_EVERY));
            if log {
                open.logged = Some(Instant::now());
            }
            drop(open);
            if log {
                let limit = if of_address { "connections_per_address" } else { "max_connections" };
                tracing::warn!(open = total, limit, "connections are refused (logged once a minute)");
            }
            return Err(());
        }
        open.total += 1;
        self.metrics.accepted.add();
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        Ok(Admitted { admission: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.total -= 1;
        self.admission.metrics.closed.add();
        let Some(address) = self.address else { return };
        if let Some(held) = open.by_address.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

impl Refusal {
    /// Answers 503 with `Retry-After` and closes.
    pub(super) async fn answer(self, mut tcp: TcpStream) {
        let detail = "There are too many connections. Try again.".into();
        let answer = without_request(StatusCode::SERVICE_UNAVAILABLE, &Problem { detail, ..Problem::overloaded() });
        let exchange = async {
            tcp.write_all(&answer).await?;
            tcp.shutdown().await?;
            let mut unread = [0; 1024];
            while self.0.is_some() && tcp.read(&mut unread).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(LINGER, exchange).await;
    }
}

/// The address that a limit applies to. An IPv6 customer has a whole /64.
fn subject(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        let trusted_proxies = vec!["10.0.0.0/8".parse().expect("a net")];
        let policy = ConnectionPolicy {
            max_connections: 5,
            per_address: 2,
            trusted_proxies,
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            answer_timeout: Duration::from_secs(10),
        };
        Arc::new(Admission::new(policy, Arc::default()))
    }

    fn from(admission: &Arc<Admission>, address: &str) -> Result<Admitted, ()> {
        admission.count(Some(address.parse().expect("an address")))
    }

    #[test]
    fn an_address_has_its_share_and_what_ends_makes_room() {
        let admission = admission();
        let one = from(&admission, "192.0.2.1").expect("room");
        let _two = from(&admission, "192.0.2.1").expect("room");
        assert!(from(&admission, "192.0.2.1").is_err());
        assert_eq!(admission.metrics.refused_address.get(), 1);
        let _other = from(&admission, "192.0.2.2").expect("an address of its own");
        drop(one);
        assert!(from(&admission, "192.0.2.1").is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let admission = admission();
        let _held = [from(&admission, "2001:db8::1").expect("room"), from(&admission, "2001:db8::2").expect("room")];
        assert!(from(&admission, "2001:db8::ffff:0:0:3").is_err());
        assert!(from(&admission, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_trusted_proxy_has_no_share_but_counts_in_all() {
        let admission = admission();
        let held: Vec<_> = (0..5).map(|_| from(&admission, "10.0.0.1").expect("room")).collect();
        assert!(from(&admission, "10.0.0.1").is_err());
        assert!(from(&admission, "192.0.2.1").is_err());
        let ConnectionMetrics { accepted, closed, refused_total, .. } = &*admission.metrics;
        assert_eq!((accepted.get(), closed.get(), refused_total.get()), (5, 0, 2));
        drop(held);
        assert_eq!(closed.get(), 5);
        let open = admission.open();
        assert_eq!((open.total, open.by_address.len()), (0, 0));
    }
}
