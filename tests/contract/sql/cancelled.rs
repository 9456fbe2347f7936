//! A request that is dropped half-way.

use super::{Backend, change};
use portcullis_actors::stores::AccountStore as _;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Runs `work` until it waits for the `nth` time, and drops it there.
async fn up_to<F: Future>(nth: u32, work: F) -> Option<F::Output> {
    let (mut work, mut waits) = (pin!(work), 0);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            waits += 1;
            if waits < nth { Poll::Pending } else { Poll::Ready(None) }
        }
    })
    .await
}

pub(super) async fn a_request_that_goes_away_leaves_no_half_change(backend: Backend) {
    let store = &backend.store;
    let app = backend.app("fleet").await;
    let mut cut = 0;
    for round in 0..60 {
        let user = backend.user(&format!("u{round}")).await;
        let outcome = up_to(round, store.change_password(change(user, app, "old", "new"))).await;
        cut += u32::from(outcome.is_none());
        let read = store.user(user).await.expect("the pool is none the worse").expect("is there");
        if let Some(changed) = outcome {
            assert!(changed.expect("changed").is_some());
            assert_eq!(read.epoch, 1);
        }
    }
    assert!((2..60).contains(&cut), "some went away and some did not: {cut}");
    // A commit that was already sent may still take effect, but only as a whole. The result is read past the store,
    // after a later transaction has been committed.
    backend.user("last").await;
    let changed = backend.number("SELECT COUNT(*) FROM users WHERE password_hash = 'new' AND epoch = 1").await;
    let untouched = backend.number("SELECT COUNT(*) FROM users WHERE password_hash = 'old' AND epoch = 0").await;
    assert_eq!(changed + untouched, 61);
    assert_eq!(backend.number("SELECT COUNT(*) FROM revocations").await, changed);
    assert_eq!(backend.number("SELECT COUNT(*) FROM outbox").await, changed);
}
