//! Revocations.

use super::Backend;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::stores::{AccountStore as _, Revocation, RevocationStore as _};
use std::time::Duration;

pub(super) async fn a_revocation_is_pending_until_acknowledged(backend: Backend) {
    let store = &backend.store;
    let mut written = Vec::new();
    for name in ["a", "b", "c"] {
        let user = backend.user(name).await;
        written.push(store.disable_user(user).await.expect("disabled").expect("is there"));
    }
    backend.clock.advance(Duration::from_secs(100));
    let later = backend.clock.now().minus(Duration::from_secs(10));
    let user = backend.user("d").await;
    written.push(store.disable_user(user).await.expect("disabled").expect("is there"));

    assert_eq!(store.pending_after(0, 9).await.expect("read"), written, "oldest first");
    assert_eq!(store.pending_after(0, 2).await.expect("read"), written[..2]);
    store.acknowledge(written[1].id).await.expect("noted");
    store.acknowledge(written[1].id).await.expect("again is no matter");
    store.acknowledge(999).await.expect("nor is one that is not there");
    let left = [written[0].clone(), written[2].clone(), written[3].clone()];
    assert_eq!(store.pending_after(0, 9).await.expect("read"), left);

    store.acknowledge(written[3].id).await.expect("noted");
    assert_eq!(store.since(later, None, 9).await.expect("read"), written[3..], "acknowledged or not");
    assert_eq!(store.since(later.minus(Duration::from_secs(1_000)), None, 9).await.expect("read"), written);

    // A day later the acknowledged ones are deleted, and the pending ones are not.
    backend.clock.advance(Duration::from_secs(86_400));
    store.acknowledge(written[0].id).await.expect("noted");
    let left = [written[0].clone(), written[2].clone()];
    assert_eq!(store.since(Timestamp::from_millis(0), None, 9).await.expect("read"), left);
    store.acknowledge(written[2].id).await.expect("noted");
    assert_eq!(store.since(Timestamp::from_millis(0), None, 9).await.expect("read"), written[2..3]);
}

/// Each revocation is on exactly one page, also when many have the same time.
pub(super) async fn recent_revocations_come_in_pages(backend: Backend) {
    let store = &backend.store;
    let mut written = Vec::new();
    for n in 0..7 {
        let user = backend.user(&format!("user-{n}")).await;
        written.push(store.disable_user(user).await.expect("disabled").expect("is there"));
        if n % 3 == 0 {
            backend.clock.advance(Duration::from_secs(1));
        }
    }
    let since = written[0].created;
    let mut read: Vec<Revocation> = Vec::new();
    for size in [2, 2, 2, 1, 0] {
        let page = store.since(since, read.last(), 2).await.expect("read");
        assert_eq!(page.len(), size);
        read.extend(page);
    }
    assert_eq!(read, written);
}
