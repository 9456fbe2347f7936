//! What a request that goes away in the middle leaves behind.

use super::{Backend, change};
use portcullis_actors::stores::AccountStore as _;
use std::time::Duration;

pub(super) async fn a_request_that_goes_away_leaves_no_half_change(backend: Backend) {
    let store = &backend.store;
    let app = backend.app("fleet").await;
    let mut cut = 0;
    for round in 0_u64..60 {
        let user = backend.user(&format!("u{round}")).await;
        let patience = Duration::from_micros(round * 50);
        let outcome = tokio::time::timeout(patience, store.change_password(change(user, app, "old", "new"))).await;
        cut += u32::from(outcome.is_err());
        let read = store.user(user).await.expect("the pool is none the worse").expect("is there");
        if let Ok(changed) = outcome {
            assert!(changed.expect("changed").is_some());
            assert_eq!(read.epoch, 1);
        }
    }
    assert!(cut > 0, "the shortest patience is none");
    // A commit that was already sent may still take effect; all of it, then. The last word is read past the store,
    // once a transaction behind all of them has gone through.
    backend.user("last").await;
    let changed = backend.number("SELECT COUNT(*) FROM users WHERE password_hash = 'new' AND epoch = 1").await;
    let untouched = backend.number("SELECT COUNT(*) FROM users WHERE password_hash = 'old' AND epoch = 0").await;
    assert_eq!(changed + untouched, 61);
    assert_eq!(backend.number("SELECT COUNT(*) FROM revocations").await, changed);
    assert_eq!(backend.number("SELECT COUNT(*) FROM outbox").await, changed);
}
