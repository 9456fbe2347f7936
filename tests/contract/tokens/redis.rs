//! The contract on Redis, with the tracked cache of a worker. Promises of Redis only are tested in `crate::redis`.

use super::*;
use crate::redis::replay;
use portcullis_actors::stores::redis::{RedisServers, RedisSettings, RedisTokenStore};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::stores::{Closings, PATIENT};

pub(crate) struct OnRedis;

#[async_trait]
impl Backend for OnRedis {
    async fn start() -> Ports {
        let redis = Redis::start().await;
        let clock = Arc::new(ShiftedClock::default());
        let settings = RedisSettings { servers: RedisServers::One(redis.url()), pool_size: 16, timeout: PATIENT };
        let closings = Arc::<Closings>::default();
        let connect = || RedisTokenStore::connect(&settings, clock.clone(), closings.clone(), replay(Arc::default()));
        let store = Arc::new(connect().await.expect("Redis serves"));
        let elsewhere = Arc::new(connect().await.expect("Redis serves").for_worker());
        Ports {
            sessions: Arc::new(store.for_worker()),
            challenges: store.clone(),
            limits: store,
            elsewhere,
            clock,
            _keep: Box::new(redis),
        }
    }
}

token_contract!(OnRedis);
