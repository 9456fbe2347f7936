//! The contract on a Redis Cluster of three primaries. Promises of a cluster only are tested in `crate::redis`.

use super::*;
use crate::redis::replay;
use portcullis_actors::stores::redis::{RedisServers, RedisSettings, RedisTokenStore};
use portcullis_testkit::redis_cluster::RedisCluster;
use portcullis_testkit::stores::{Closings, PATIENT};

pub(crate) struct OnCluster;

#[async_trait]
impl Backend for OnCluster {
    async fn start() -> Ports {
        let cluster = RedisCluster::start(3).await;
        let clock = Arc::new(ShiftedClock::default());
        let servers = RedisServers::Cluster(cluster.urls());
        let settings = RedisSettings { servers, pool_size: 16, timeout: PATIENT };
        let closings = Arc::<Closings>::default();
        let connect = || RedisTokenStore::connect(&settings, clock.clone(), closings.clone(), replay(Arc::default()));
        let store = Arc::new(connect().await.expect("the cluster serves"));
        let elsewhere = Arc::new(connect().await.expect("the cluster serves").for_worker());
        Ports {
            sessions: Arc::new(store.for_worker()),
            challenges: store.clone(),
            limits: store,
            elsewhere,
            clock,
            _keep: Box::new(cluster),
        }
    }
}

token_contract!(OnCluster, in_steps);
