//! The contract on the embedded store, and what only that store promises.

use super::*;
use portcullis_actors::stores::embedded::EmbeddedTokenStore;

pub(crate) struct Embedded;

#[async_trait]
impl Backend for Embedded {
    async fn start() -> Ports {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ShiftedClock::default());
        let path = folder.path().join("portcullis.db");
        let open = || EmbeddedTokenStore::open(&path, clock.clone());
        let store = Arc::new(open().await.expect("the store opens"));
        let elsewhere = Arc::new(open().await.expect("the store opens"));
        Ports {
            sessions: store.clone(),
            challenges: store.clone(),
            limits: store,
            elsewhere,
            clock,
            _keep: Box::new(folder),
        }
    }
}

token_contract!(Embedded);
