//! The contract on Redis, with checks as a worker makes them: from a tracked cache. What only Redis promises is tested
//! in `crate::redis`.

use super::*;
use crate::redis::replay;
use portcullis_actors::stores::redis::{RedisSettings, RedisTokenStore};
use portcullis_testkit::redis::Redis;

pub(crate) struct OnRedis;

#[async_trait]
impl Backend for OnRedis {
    async fn start() -> Ports {
        let redis = Redis::start().await;
        let clock = Arc::new(ShiftedClock::default());
        let settings = RedisSettings { url: redis.url(), pool_size: 16, timeout: PATIENT };
        let connect = || RedisTokenStore::connect(&settings, clock.clone(), replay(Arc::default()));
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
