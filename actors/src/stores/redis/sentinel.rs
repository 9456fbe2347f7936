//! Follows the primary where sentinels say it is.
//!
//! Each sentinel is asked twice a second and whenever it announces a switch, independently of the others: one that does not
//! answer delays nothing. Of two answers the one with the higher epoch is the newer one: a failover gets a higher epoch by a vote.
//! What a sentinel names is followed only if it says itself that it is a primary.

use super::pool::connection_config;
use super::shard::Shard;
use super::topology::Topology;
use super::{Inner, RedisSettings, RedisTokenStore, SentinelSettings, role, start};
use crate::error::StartError;
use crate::metrics::StoreMetrics;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, PushInfo, PushKind,
    RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// Between two questions to a sentinel, and between two attempts to connect to it.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long a sentinel may take for an answer while this process runs.
const TIME_OUT: Duration = Duration::from_millis(500);

/// How long other sentinels are waited for at the start when one has answered.
const OTHERS: Duration = Duration::from_millis(100);

/// What sentinels announce when another server is the primary.
const SWITCHED: &str = "+switch-master";

/// The primary, as a sentinel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    epoch: u64,
    host: String,
    port: u16,
    /// Also those that do not answer.
    replicas: usize,
}

/// Asks the sentinels for the primary, and examines whether it can serve.
pub(super) async fn find(
    servers: &SentinelSettings,
    settings: &RedisSettings,
    metrics: &Arc<StoreMetrics>,
) -> Result<Topology, StartError> {
    let clients = clients(servers)?;
    let mut asked: FuturesUnordered<_> =
        clients.iter().map(|client| first_answer(client, &servers.master_name)).collect();
    let (mut named, mut refusal): (Vec<Named>, _) = (vec![], None);
    while named.is_empty()
        && let Some(answer) = asked.next().await
    {
        match answer {
            Ok(answer) => named.push(answer),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    let others = async {
        while let Some(answer) = asked.next().await {
            named.extend(answer);
        }
    };
    let _ = timeout(OTHERS, others).await;
    let Some(newest) = named.into_iter().max_by_key(|named| named.epoch) else {
        return Err(refusal.unwrap_or_else(|| StartError("redis.sentinels names no sentinel".to_owned())));
    };
    let shard = shard(&newest, servers, settings, metrics)?;
    let serves = start::examine(&shard.client, settings.timeout, settings.servers.kind()).await;
    serves.map_err(|StartError(line)| StartError(format!("the sentinels name a master that cannot serve: {line}")))?;
    Ok(Topology::named(Arc::new(shard), newest.epoch))
}

/// Asks every sentinel, also those that [`find`] does not need.
pub(super) async fn examine(servers: &SentinelSettings) -> Result<(), StartError> {
    let clients = clients(servers)?;
    let answers = join_all(clients.iter().map(|client| first_answer(client, &servers.master_name))).await;
    answers.into_iter().try_for_each(|answer| answer.map(drop))
}

async fn first_answer(client: &Client, name: &str) -> Result<Named, StartError> {
    let at = client.get_connection_info().addr().to_string();
    let answer = async {
        let config = connection_config(start::FIRST_CONNECTION);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        ask(&mut connection, name).await
    };
    let fault = |error: RedisError| match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) if error.to_string().contains("No such master") => {
            StartError(format!("the sentinel at {at} knows no master of that name: correct redis.master_name"))
        }
        ErrorKind::Server(ServerErrorKind::ResponseError) if error.to_string().contains("unknown command") => {
            StartError(format!("the server at {at} is no sentinel: correct redis.sentinels"))
        }
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
            || error.kind() == ErrorKind::AuthenticationFailed =>
        {
            StartError(format!("the sentinel at {at} refuses the user or password: correct them in redis.sentinels"))
        }
        _ => StartError(format!(
            "the sentinel at {at} cannot be reached ({error}): check redis.sentinels, and that it runs"
        )),
    };
    match timeout(start::FIRST_CONNECTION, answer).await {
        Ok(answer) => answer.map_err(fault),
        Err(_) => Err(StartError(format!("the sentinel at {at} does not answer: check redis.sentinels"))),
    }
}

/// Puts another primary in force whenever the sentinels name one. Runs until the store is dropped.
pub(super) async fn follow(store: Weak<Inner>, servers: SentinelSettings) {
    let Ok(clients) = clients(&servers) else { return };
    let (tell, mut told) = mpsc::channel(clients.len());
    let listen = join_all(clients.iter().map(|client| listen(client, &servers.master_name, tell.clone())));
    let follow = async {
        let mut refused = None;
        while let Some(named) = told.recv().await {
            let Some(store) = store.upgrade().map(RedisTokenStore) else { return };
            if is_newer(&store.topology(), &named) {
                switch(&store, &servers, &named, &mut refused).await;
            }
        }
    };
    tokio::select! {
        _ = listen => {}
        () = follow => {}
    }
}

/// Asks one sentinel again and again, and tells what it answers.
async fn listen(client: &Client, name: &str, tell: mpsc::Sender<Named>) -> Infallible {
    let at = client.get_connection_info().addr().to_string();
    let mut warned = false;
    loop {
        match watch(client, name, &tell, &mut warned).await {
            Err(error) if !std::mem::replace(&mut warned, true) => {
                tracing::warn!(sentinel = %at, %error, "a sentinel does not answer; trying again");
            }
            _ => {}
        }
        sleep(ASK_EVERY).await;
    }
}

/// Returns when the connection is lost.
async fn watch(client: &Client, name: &str, tell: &mpsc::Sender<Named>, warned: &mut bool) -> RedisResult<()> {
    let switched = Arc::new(Notify::new());
    let announced = Arc::clone(&switched);
    let config = connection_config(TIME_OUT).set_push_sender(move |push: PushInfo| {
        if matches!(push.kind, PushKind::Message | PushKind::Disconnection) {
            announced.notify_one();
        }
        Ok::<(), ()>(())
    });
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let late = |_| RedisError::from((ErrorKind::Io, "no answer in time"));
    let mut connection = timeout(TIME_OUT, connecting).await.map_err(late)??;
    connection.subscribe(SWITCHED).await?;
    loop {
        let named = ask(&mut connection, name).await?;
        *warned = false;
        // Nobody listens any more when the store is dropped.
        let _ = tell.send(named).await;
        let _ = timeout(ASK_EVERY, switched.notified()).await;
    }
}

/// `SENTINEL MASTER name` (Redis, "High availability with Sentinel").
async fn ask(connection: &mut MultiplexedConnection, name: &str) -> RedisResult<Named> {
    let mut command = redis::cmd("SENTINEL");
    let told: HashMap<String, String> = command.arg("MASTER").arg(name).query_async(connection).await?;
    let named = || {
        let field = |name: &str| told.get(name);
        let (host, port, epoch) = (field("ip")?, field("port")?, field("config-epoch")?);
        let replicas = field("num-slaves").and_then(|count| count.parse().ok()).unwrap_or_default();
        Some(Named { epoch: epoch.parse().ok()?, host: host.clone(), port: port.parse().ok()?, replicas })
    };
    named().ok_or_else(|| (ErrorKind::Parse, "SENTINEL MASTER is not as expected").into())
}

/// Whether this answer may change something. Of two sentinels with the same epoch neither is newer (one may tell host names, or
/// they watch different masters): the other one's is followed only if the primary in force does not serve.
fn is_newer(now: &Topology, named: &Named) -> bool {
    let serves = || now.shards().iter().any(|shard| shard.tracked().is_some());
    named.epoch > now.epoch || named.epoch == now.epoch && (now.is_at(&named.host, named.port) || !serves())
}

/// Puts this primary in force, if it is not yet and is one. `refused` is the last one that was none: it is logged once.
async fn switch(store: &RedisTokenStore, servers: &SentinelSettings, named: &Named, refused: &mut Option<String>) {
    let Ok(shard) = shard(named, servers, &store.0.settings, &store.0.metrics) else { return };
    if let Some(known) = store.topology().shards().iter().find(|known| known.at == shard.at) {
        known.pool.replicas.require(named.replicas);
        if named.epoch > store.topology().epoch {
            store.put_in_force(Topology::named(Arc::clone(known), named.epoch));
        }
        return;
    }
    let is_primary = async {
        let config = connection_config(store.0.settings.timeout);
        let mut connection = shard.client.get_multiplexed_async_connection_with_config(&config).await?;
        role::ensure_primary(&mut connection).await
    };
    match timeout(store.0.settings.timeout, is_primary).await {
        Ok(Ok(())) => {
            *refused = None;
            tracing::info!(redis = %shard.at, "the sentinels name another primary");
            store.put_in_force(Topology::named(Arc::new(shard), named.epoch));
        }
        _ if refused.as_ref() == Some(&shard.at) => {}
        outcome => {
            let error = outcome.map_or("no answer in time".to_owned(), |outcome| {
                outcome.map_or_else(|error| error.to_string(), |()| String::new())
            });
            tracing::warn!(redis = %shard.at, error, "the sentinels name a primary that is none");
            *refused = Some(shard.at.clone());
        }
    }
}

fn clients(servers: &SentinelSettings) -> Result<Vec<Client>, StartError> {
    servers.sentinels.iter().map(|url| start::connection(url).and_then(start::client)).collect()
}

/// The primary at this address, with its user, password and TLS.
fn shard(
    named: &Named,
    servers: &SentinelSettings,
    settings: &RedisSettings,
    metrics: &Arc<StoreMetrics>,
) -> Result<Shard, StartError> {
    let (host, port) = (named.host.clone(), named.port);
    let address = match servers.tls {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    };
    let mut login = RedisConnectionInfo::default();
    if !servers.user.is_empty() {
        login = login.set_username(&servers.user);
    }
    if !servers.password.is_empty() {
        login = login.set_password(&servers.password);
    }
    let wrong = |error: RedisError| StartError(format!("the sentinels name an address that is none ({error})"));
    let info: ConnectionInfo = address.into_connection_info().map_err(wrong)?;
    let shard = Shard::new(info.set_redis_settings(login), settings.pool_size, settings.timeout, metrics)?;
    shard.pool.replicas.require(named.replicas);
    Ok(shard)
}
