//! Follows the primaries of a Redis Cluster, and which of them has which hash slots.
//!
//! Every node tells its own view of the cluster. Of two views of a slot the one with the higher epoch is the newer one: a
//! replica that takes over gets a higher epoch by a vote, and a primary that takes a slot over gives itself one. So a
//! primary that was replaced, but does not know it yet, is out of force with the next look at another node. One whose
//! cluster has left it alone says itself that it may not serve, see `role::ensure_in_cluster`.

use super::pool::connection_config;
use super::shard::Shard;
use super::slot::SLOTS;
use super::topology::{Topology, UNCOVERED};
use super::{Inner, RedisSettings, RedisTokenStore, start};
use crate::error::{StartError, StoreError};
use crate::metrics::StoreMetrics;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Between two looks at the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// How long other nodes are waited for when one has answered. What they tell is heard with the next look.
const OTHERS: Duration = Duration::from_millis(50);

/// A range of hash slots that a primary has, both ends included, as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    epoch: u64,
    first: u16,
    last: u16,
    host: String,
    port: u16,
}

/// Asks the seeds for the primaries, and examines whether each can serve.
pub(super) async fn find(
    seeds: &[String],
    settings: &RedisSettings,
    metrics: &Arc<StoreMetrics>,
) -> Result<Topology, StartError> {
    let (told, refused): (Vec<_>, Vec<_>) = ask_all(seeds, settings).await?.into_iter().partition(Result::is_ok);
    let refusal = refused.into_iter().find_map(Result::err);
    let claims: Vec<Claim> = told.into_iter().flatten().flatten().collect();
    if claims.is_empty() {
        let empty =
            || StartError("the nodes of redis.cluster know no primary with slots: create the cluster".to_owned());
        return Err(refusal.unwrap_or_else(empty));
    }
    let topology = topology(claims, settings, metrics, &[])?;
    if let Some(slot) = topology.gap() {
        return Err(StartError(format!(
            "the cluster of redis.cluster has no primary for slot {slot}: repair it (redis-cli --cluster fix)"
        )));
    }
    let kind = settings.servers.kind();
    try_join_all(topology.shards().iter().map(|shard| start::examine(&shard.client, settings.timeout, kind))).await?;
    Ok(topology)
}

/// Asks every seed, also those that [`find`] does not need.
pub(super) async fn examine(seeds: &[String], settings: &RedisSettings) -> Result<(), StartError> {
    ask_all(seeds, settings).await?.into_iter().try_for_each(|answer| answer.map(drop))
}

async fn ask_all(
    seeds: &[String],
    settings: &RedisSettings,
) -> Result<Vec<Result<Vec<Claim>, StartError>>, StartError> {
    let clients: Vec<Client> =
        seeds.iter().map(|seed| start::connection(seed).and_then(start::client)).collect::<Result<_, _>>()?;
    let time_out = settings.timeout.max(start::FIRST_CONNECTION);
    let asked = clients.iter().map(async |client| {
        let at = client.get_connection_info().addr().to_string();
        match timeout(time_out, ask_by(client, time_out)).await {
            Ok(Ok(claims)) => Ok(claims),
            Ok(Err(error)) if is_no_cluster(&error) => Err(start::no_cluster(&at)),
            Ok(Err(error)) => Err(start::refused(&at, &error)),
            Err(_) => Err(start::unreachable(&at, "no answer in time")),
        }
    });
    Ok(join_all(asked).await)
}

/// Puts another topology in force whenever the cluster changes. Runs until the store is dropped.
pub(super) async fn follow(store: Weak<Inner>) {
    loop {
        sleep(LOOK_EVERY).await;
        let Some(store) = store.upgrade().map(RedisTokenStore) else { return };
        renew(&store, Instant::now()).await;
    }
}

/// Looks at the cluster, and puts the topology in force that it tells. Does nothing if somebody has begun to look after
/// `since`, but waits for the outcome.
pub(super) async fn renew(store: &RedisTokenStore, since: Instant) {
    let mut renewed = store.0.renewed.lock().await;
    if renewed.is_some_and(|began| began > since) {
        return;
    }
    let (began, old) = (Instant::now(), store.topology());
    let claims = match look(store, old.shards()).await {
        claims if claims.is_empty() => return,
        claims => claims,
    };
    match topology(claims, &store.0.settings, &store.0.metrics, old.shards()) {
        Ok(new) if new.is(&old) => {}
        Ok(new) => {
            tracing::info!(primaries = new.shards().len(), "the slots of the Redis cluster have moved");
            store.put_in_force(new);
        }
        Err(error) => tracing::warn!(%error, "the map of the Redis cluster cannot be used"),
    }
    *renewed = Some(began);
}

/// The primary at an address that a redirection names. It may have no slot yet.
pub(super) fn node(store: &RedisTokenStore, from: &Shard, address: &str) -> Result<Arc<Shard>, StoreError> {
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| StoreError::token_store(format!("Redis redirects to {address}, which is no address")))?;
    let host = if host.is_empty() { host_of(&from.client) } else { host.to_owned() };
    let topology = store.topology();
    shard(&host, port, &store.0.settings, &store.0.metrics, topology.shards()).map_err(StoreError::token_store)
}

/// Asks the primaries in force, and if none of them answers the seeds.
async fn look(store: &RedisTokenStore, shards: &[Arc<Shard>]) -> Vec<Claim> {
    let time_out = store.0.settings.timeout;
    let told = first_and_others(shards.iter().map(|shard| {
        async move {
            match shard.tracked() {
                Some(mut tracked) => ask(&shard.client, &mut tracked.connection).await,
                None => ask_by(&shard.client, time_out).await,
            }
        }
        .boxed()
    }));
    let told = timeout(time_out, told).await.unwrap_or_default();
    if !told.is_empty() {
        return told;
    }
    let super::RedisServers::Cluster(seeds) = &store.0.settings.servers else { return vec![] };
    let clients = seeds.iter().filter_map(|seed| start::connection(seed).and_then(start::client).ok());
    let told = first_and_others(clients.map(|client| async move { ask_by(&client, time_out).await }.boxed()));
    timeout(time_out, told).await.unwrap_or_default()
}

/// The claims of the first node that answers, and of those that answer soon after it.
async fn first_and_others<F: Future<Output = RedisResult<Vec<Claim>>>>(asked: impl Iterator<Item = F>) -> Vec<Claim> {
    let mut asked: FuturesUnordered<F> = asked.collect();
    let mut told = vec![];
    while told.is_empty() {
        match asked.next().await {
            Some(answer) => told.extend(answer.into_iter().flatten()),
            None => return told,
        }
    }
    let others = async {
        while let Some(answer) = asked.next().await {
            told.extend(answer.into_iter().flatten());
        }
    };
    let _ = timeout(OTHERS, others).await;
    told
}

async fn ask_by(client: &Client, time_out: Duration) -> RedisResult<Vec<Claim>> {
    let mut connection = client.get_multiplexed_async_connection_with_config(&connection_config(time_out)).await?;
    ask(client, &mut connection).await
}

/// What a node knows of the slots. `CLUSTER SLOTS` tells the addresses by which clients reach the primaries, and only
/// `CLUSTER NODES` the epochs.
async fn ask(client: &Client, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Claim>> {
    let mut both = redis::pipe();
    both.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("NODES");
    let (slots, nodes): (Vec<Vec<Value>>, String) = both.query_async(connection).await?;
    let epochs = epochs(&nodes);
    let asked = host_of(client);
    slots.iter().map(|range| claim(range, &asked, &epochs)).collect()
}

fn is_no_cluster(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
        && error.to_string().contains("cluster support disabled")
}

/// The epoch of each node, by its id: the seventh field of a line (Redis, `CLUSTER NODES`).
fn epochs(nodes: &str) -> HashMap<&str, u64> {
    let read = |line: &'_ str| -> Option<(usize, u64)> {
        let id = line.find(' ')?;
        Some((id, line.split(' ').nth(6)?.parse().ok()?))
    };
    nodes.lines().filter_map(|line| read(line).map(|(id, epoch)| (&line[..id], epoch))).collect()
}

/// Reads an element of `CLUSTER SLOTS`: first slot, last slot, the primary (host, port, id, …), its replicas. A host that
/// the node does not know is the one that was asked.
fn claim(range: &[Value], asked: &str, epochs: &HashMap<&str, u64>) -> RedisResult<Claim> {
    let unreadable = || RedisError::from((ErrorKind::Parse, "CLUSTER SLOTS is not as expected"));
    let [first, last, Value::Array(primary), ..] = range else { return Err(unreadable()) };
    let [host, port, id, ..] = &primary[..] else { return Err(unreadable()) };
    let slot = |value: &Value| redis::from_redis_value_ref::<u16>(value).ok().filter(|slot| *slot < SLOTS);
    let host: Option<String> = redis::from_redis_value_ref(host)?;
    let id: String = redis::from_redis_value_ref(id)?;
    Ok(Claim {
        epoch: epochs.get(id.as_str()).copied().unwrap_or_default(),
        first: slot(first).ok_or_else(unreadable)?,
        last: slot(last).ok_or_else(unreadable)?,
        host: host.filter(|host| !matches!(host.as_str(), "" | "?")).unwrap_or_else(|| asked.to_owned()),
        port: redis::from_redis_value_ref(port)?,
    })
}

/// The topology of these claims: of several to a slot, the one with the highest epoch holds. Primaries that are known
/// already are taken from there.
fn topology(
    mut claims: Vec<Claim>,
    settings: &RedisSettings,
    metrics: &Arc<StoreMetrics>,
    known: &[Arc<Shard>],
) -> Result<Topology, StartError> {
    claims.sort_by_key(|claim| claim.epoch);
    let mut holders: Vec<Option<(&str, u16)>> = vec![None; SLOTS.into()];
    for Claim { first, last, host, port, .. } in &claims {
        if first <= last {
            holders[usize::from(*first)..=usize::from(*last)].fill(Some((host, *port)));
        }
    }
    let mut addresses: Vec<(&str, u16)> = holders.iter().flatten().copied().collect();
    addresses.sort_unstable();
    addresses.dedup();
    let shards = addresses.iter().map(|(host, port)| shard(host, *port, settings, metrics, known));
    let shards = shards.collect::<Result<Vec<_>, _>>()?;
    let position = |holder: (&str, u16)| {
        addresses.binary_search(&holder).ok().and_then(|at| u16::try_from(at).ok()).unwrap_or(UNCOVERED)
    };
    let slots = holders.into_iter().map(|holder| holder.map_or(UNCOVERED, position)).collect();
    Ok(Topology::cluster(shards, slots))
}

/// A primary, with the user, the password and the TLS of the first seed.
fn shard(
    host: &str,
    port: u16,
    settings: &RedisSettings,
    metrics: &Arc<StoreMetrics>,
    known: &[Arc<Shard>],
) -> Result<Arc<Shard>, StartError> {
    let at = format!("{host}:{port}");
    if let Some(known) = known.iter().find(|shard| shard.at == at) {
        return Ok(Arc::clone(known));
    }
    let super::RedisServers::Cluster(seeds) = &settings.servers else { return Err(start::no_cluster(&at)) };
    let seed = start::connection(seeds.first().map_or("", String::as_str))?;
    let address = match seed.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    Shard::new(seed.set_addr(address), settings.pool_size, settings.timeout, metrics).map(Arc::new)
}

fn host_of(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::redis::RedisServers;
    use crate::stores::redis::slot::Slot;

    fn claim_of(epoch: u64, slots: std::ops::RangeInclusive<u16>, port: u16) -> Claim {
        Claim { epoch, first: *slots.start(), last: *slots.end(), host: "127.0.0.1".to_owned(), port }
    }

    fn map(claims: Vec<Claim>, known: &[Arc<Shard>]) -> Topology {
        let servers = RedisServers::Cluster(vec!["redis://:secret@localhost:7000".to_owned()]);
        let settings = RedisSettings { servers, pool_size: 1, timeout: Duration::from_secs(1) };
        topology(claims, &settings, &Arc::default(), known).unwrap_or_else(|error| panic!("{error}"))
    }

    #[tokio::test]
    async fn of_two_claims_to_a_slot_the_higher_epoch_holds() {
        // A primary that was replaced still claims its slots.
        let replaced = claim_of(1, 0..=16_383, 7001);
        for claims in
            [vec![replaced.clone(), claim_of(4, 0..=16_382, 7002)], vec![claim_of(4, 0..=16_382, 7002), replaced]]
        {
            let map = map(claims, &[]);
            let at = |slot: u16| map.shard(Slot::from(slot)).map(|shard| shard.at.clone());
            assert_eq!(at(0).as_deref(), Some("127.0.0.1:7002"));
            assert_eq!(at(16_383).as_deref(), Some("127.0.0.1:7001"));
            assert_eq!(map.gap(), None);
        }
    }

    #[tokio::test]
    async fn a_primary_stays_the_same_and_one_without_slots_is_none() {
        let old = map(vec![claim_of(1, 0..=9_999, 7001), claim_of(2, 10_000..=16_383, 7002)], &[]);
        let same = map(vec![claim_of(2, 10_000..=16_383, 7002), claim_of(1, 0..=9_999, 7001)], old.shards());
        assert!(same.is(&old));
        let moved = map(vec![claim_of(1, 0..=9_999, 7001), claim_of(3, 0..=16_383, 7002)], old.shards());
        assert!(!moved.is(&old));
        assert!(matches!(moved.shards(), [only] if Arc::ptr_eq(only, &old.shards()[1])));
    }

    #[test]
    fn a_slot_without_a_primary_is_named() {
        assert_eq!(map(vec![claim_of(1, 0..=99, 7001), claim_of(2, 101..=16_383, 7002)], &[]).gap(), Some(100));
    }

    #[test]
    fn the_answers_of_a_node_are_read() {
        let nodes = "07c3 127.0.0.1:7001@17001,host myself,master - 0 1426238317239 4 connected 0-5460\n\
                     67ed 127.0.0.1:7002@17002 slave 07c3 0 1426238316232 2 connected\n";
        let epochs = epochs(nodes);
        assert_eq!(epochs.get("07c3"), Some(&4));
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let range = |host, last| {
            [
                Value::Int(0),
                Value::Int(last),
                Value::Array(vec![host, Value::Int(7001), text("07c3"), Value::Map(vec![])]),
            ]
        };
        for (host, read) in [(text("there"), "there"), (text(""), "here"), (text("?"), "here"), (Value::Nil, "here")] {
            let claim = claim(&range(host, 5_460), "here", &epochs).expect("readable");
            assert_eq!(claim, Claim { epoch: 4, first: 0, last: 5_460, host: read.to_owned(), port: 7001 });
        }
        assert!(claim(&range(text("there"), 16_384), "here", &epochs).is_err(), "no such slot");
        assert!(claim(&[Value::Int(0)], "here", &epochs).is_err());
    }
}
