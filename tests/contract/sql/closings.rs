//! Closings.

use super::Backend;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::domain::{Digest, UserId};
use portcullis_actors::stores::{Closing, ClosingStore as _};
use std::time::Duration;

const ADA: UserId = UserId(42);

fn digest(name: impl std::fmt::Display) -> Digest {
    Digest::of(name.to_string().as_bytes())
}

/// Each is on exactly one page, also when many have the same time.
pub(super) async fn what_was_closed_is_read_in_pages(backend: Backend) {
    let store = &backend.store;
    store.note_closed(ADA, &[]).await.expect("nothing is to be written");
    store.note_closed(ADA, &[digest("long ago")]).await.expect("written");
    backend.clock.advance(Duration::from_secs(1));
    let since = backend.clock.now();
    store.note_closed(ADA, &[digest(0), digest(1), digest(2)]).await.expect("written");
    backend.clock.advance(Duration::from_secs(1));
    store.note_closed(UserId(7), &[digest(3)]).await.expect("written");
    store.note_closed(ADA, &[digest(2)]).await.expect("again is no matter");

    let mut read: Vec<Closing> = Vec::new();
    for size in [2, 2, 1, 0] {
        let page = store.closed_since(since, read.last(), 2).await.expect("read");
        assert_eq!(page.len(), size);
        read.extend(page);
    }
    let names: Vec<_> = read.iter().map(|closing| (closing.user, closing.digest)).collect();
    let all = [(ADA, 0), (ADA, 1), (ADA, 2), (UserId(7), 3), (ADA, 2)];
    assert_eq!(names, all.map(|(user, name)| (user, digest(name))));
    assert!(read.iter().all(|closing| closing.created >= since));
}

pub(super) async fn closings_are_forgotten_after_a_day_in_small_parts(backend: Backend) {
    let store = &backend.store;
    let old: Vec<_> = (0..5).map(digest).collect();
    store.note_closed(ADA, &old).await.expect("written");
    backend.clock.advance(Duration::from_secs(86_000));
    store.note_closed(ADA, &[digest("young")]).await.expect("written");
    assert_eq!(store.forget_closed(9).await.expect("read"), 0, "a day has not gone");
    backend.clock.advance(Duration::from_secs(401));
    for size in [2, 2, 1, 0] {
        assert_eq!(store.forget_closed(2).await.expect("deleted"), size);
    }
    let left = store.closed_since(Timestamp::default(), None, 9).await.expect("read");
    assert!(left.len() == 1 && left[0].digest == digest("young"), "{left:?}");
}

pub(super) async fn a_closing_does_not_wait_for_the_row_of_its_user(backend: Backend) {
    let nobody = UserId(-1);
    backend.store.note_closed(nobody, &[digest("x")]).await.expect("it refers to no account");
}
