//! Tests of the queue and its threads: refusing, skipping, surviving, stopping. They set the expected time instead of
//! sleeping.

use crate::hashing::argon::{Argon2id, Parameters};
use crate::hashing::queue::Queue;
use crate::hashing::{HashingError, HashingSnapshot};
use futures_util::{FutureExt as _, poll};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;

/// Hashes nothing and counts how many of it are left.
struct Idle(Arc<AtomicUsize>);

impl Argon2id for Idle {
    fn derive(&mut self, _: &Parameters, _: &[u8], _: &mut [u8]) -> Result<(), HashingError> {
        Ok(())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Threads that expect ten seconds for a unit of work.
fn queue(threads: usize, max_wait: Duration) -> (Arc<Queue>, Arc<AtomicUsize>) {
    let alive = Arc::new(AtomicUsize::new(threads));
    let hashers = (0..threads).map(|_| Box::new(Idle(Arc::clone(&alive))) as Box<dyn Argon2id>).collect();
    (Arc::new(Queue::start(hashers, max_wait, (1, secs(10))).expect("the system gives threads")), alive)
}

/// Takes a place and runs the task in it.
async fn run<T: Send + 'static>(
    queue: &Arc<Queue>,
    work: u64,
    caller: CancellationToken,
    task: impl FnOnce(&mut dyn Argon2id) -> Result<T, HashingError> + Send + 'static,
) -> Result<T, HashingError> {
    queue.reserve(work)?.run(work, caller, task).await
}

/// A caller that stays.
fn waiting() -> CancellationToken {
    CancellationToken::new()
}

/// A task that holds its thread until the gate opens (is dropped).
fn held(gate: mpsc::Receiver<()>) -> impl FnOnce(&mut dyn Argon2id) -> Result<(), HashingError> + Send + 'static {
    move |_| {
        let _ = gate.recv();
        Ok(())
    }
}

async fn until(queue: &Queue, seen: impl Fn(HashingSnapshot) -> bool) {
    for _ in 0..2_000 {
        if seen(queue.observe()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not seen: {:?}", queue.observe());
}

#[tokio::test]
async fn what_would_wait_too_long_is_refused_at_once() {
    let (queue, _) = queue(1, secs(25));
    let (open, gate) = mpsc::channel();
    let mut first = pin!(run(&queue, 1, waiting(), held(gate)));
    assert!(poll!(&mut first).is_pending());
    until(&queue, |seen| seen.running == 1).await;
    let (mut second, mut third) =
        (pin!(run(&queue, 1, waiting(), |_| Ok(2))), pin!(run(&queue, 1, waiting(), |_| Ok(3))));
    assert!(poll!(&mut second).is_pending(), "10 s of work before it");
    assert!(poll!(&mut third).is_pending(), "20 s of work before it");
    // 30 s before it: five too many, and waiting is asked for in whole seconds past that.
    assert_eq!(
        run(&queue, 1, waiting(), |_| Ok(4)).now_or_never(),
        Some(Err(HashingError::Overloaded { retry_after: secs(6) }))
    );
    let seen = queue.observe();
    assert_eq!((seen.running, seen.queued, seen.shed), (1, 2, 1));
    drop(open);
    assert_eq!((first.await, second.await, third.await), (Ok(()), Ok(2), Ok(3)));
    let seen = queue.observe();
    assert_eq!((seen.running, seen.queued, seen.done), (0, 0, 3));
    assert!(seen.average_ms < 10_000.0, "it learned that work is quicker than it was told");
}

#[tokio::test]
async fn a_place_counts_as_work_until_it_is_dropped_or_used() {
    let (queue, _) = queue(1, secs(25));
    let unused =
        [queue.reserve(1), queue.reserve(1), queue.reserve(1)].map(|place| place.expect("at most 20 s before it"));
    assert_eq!(queue.reserve(1).err(), Some(HashingError::Overloaded { retry_after: secs(6) }), "30 s before it");
    let seen = queue.observe();
    assert_eq!((seen.reserved, seen.queued, seen.shed), (3, 0, 1));
    drop(unused);
    assert_eq!(queue.observe().reserved, 0);

    // The work of the job replaces what was expected.
    let (open, gate) = mpsc::channel();
    let mut large = pin!(queue.reserve(1).expect("nothing before it").run(3, waiting(), held(gate)));
    assert!(poll!(&mut large).is_pending());
    assert_eq!(queue.observe().reserved, 0);
    assert_eq!(queue.reserve(1).err(), Some(HashingError::Overloaded { retry_after: secs(6) }), "30 s before it");
    drop(open);
    assert_eq!(large.await, Ok(()));
    queue.reserve(1).expect("nothing before it");
}

#[tokio::test]
async fn places_that_are_given_back_keep_nobody_out() {
    let (queue, _) = queue(1, secs(25));
    for _ in 0..300 {
        queue.reserve(1).expect("nothing before it");
    }
    // Requests that are likely to be refused as well, and a sign-in among them.
    let others: Vec<_> = (0..20).map(|_| queue.reserve(1).expect("little is expected of the others")).collect();
    assert_eq!(run(&queue, 1, waiting(), |_| Err::<(), _>(HashingError::Failed)).await, Err(HashingError::Failed));
    drop(others);

    // When places are used, they count again. The jobs are skipped, so that no time is learned from them.
    let gone = waiting();
    gone.cancel();
    for _ in 0..300 {
        let skipped = run(&queue, 1, gone.clone(), |_| Ok(())).await;
        assert_eq!(skipped, Err(HashingError::Overloaded { retry_after: secs(1) }));
    }
    let _places = [(); 3].map(|()| queue.reserve(1).expect("at most 20 s before it"));
    assert!(matches!(queue.reserve(1), Err(HashingError::Overloaded { .. })), "nearly 30 s before it");
}

#[tokio::test]
async fn after_a_flood_of_places_that_are_given_back_places_still_count() {
    let (queue, _) = queue(1, secs(25));
    for _ in 0..1_000 {
        queue.reserve(1).expect("nothing before it");
    }
    let taken: Vec<_> = (0..100).map_while(|_| queue.reserve(1).ok()).collect();
    assert_eq!(taken.len(), 26, "a tenth of 10 s for each");
}

#[tokio::test]
async fn jobs_run_in_the_order_of_their_places_and_an_unused_place_holds_up_nobody() {
    let (queue, _) = queue(1, secs(100));
    let (open, gate) = mpsc::channel();
    let mut first = pin!(run(&queue, 1, waiting(), held(gate)));
    assert!(poll!(&mut first).is_pending());
    let [early, unused, late] = [(); 3].map(|()| queue.reserve(1).expect("room"));
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move |_: &mut dyn Argon2id| {
            order.lock().expect("not poisoned").push(name);
            Ok(())
        }
    };
    let (mut late, mut early) =
        (pin!(late.run(1, waiting(), note("late"))), pin!(early.run(1, waiting(), note("early"))));
    assert!(poll!(&mut late).is_pending());
    assert!(poll!(&mut early).is_pending());
    drop(open);
    assert_eq!((first.await, early.await, late.await), (Ok(()), Ok(()), Ok(())));
    assert_eq!(*order.lock().expect("not poisoned"), ["early", "late"]);
    drop(unused);
}

#[tokio::test]
async fn the_time_before_a_place_is_used_is_no_wait_for_a_thread() {
    let (queue, _) = queue(1, Duration::from_millis(500));
    let place = queue.reserve(1).expect("nothing before it");
    // The stores are slow.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(place.run(1, waiting(), |_| Ok(7)).await, Ok(7), "a thread is idle");
}

#[tokio::test]
async fn large_work_is_weighed_and_an_idle_thread_takes_any() {
    let (queue, _) = queue(2, secs(25));
    let (open, gate) = mpsc::channel();
    let mut large = pin!(run(&queue, 1_000, waiting(), held(gate)));
    assert!(poll!(&mut large).is_pending());
    assert_eq!(run(&queue, 1, waiting(), |_| Ok(())).await, Ok(()), "the other thread is idle");
    let (open_too, gate) = mpsc::channel();
    let mut small = pin!(run(&queue, 1, waiting(), held(gate)));
    assert!(poll!(&mut small).is_pending());
    let refused = run(&queue, 1, waiting(), |_| Ok(())).now_or_never();
    assert!(matches!(refused, Some(Err(HashingError::Overloaded { .. }))), "behind the large one");
    drop((open, open_too));
    assert_eq!((large.await, small.await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn nobody_is_served_after_waiting_too_long() {
    let (queue, _) = queue(1, Duration::from_millis(50));
    let (open, gate) = mpsc::channel();
    let mut first = pin!(run(&queue, 0, waiting(), held(gate)));
    assert!(poll!(&mut first).is_pending());
    until(&queue, |seen| seen.running == 1).await;
    let mut second = pin!(run(&queue, 0, waiting(), |_| -> Result<(), HashingError> { panic!("it is not to run") }));
    assert!(poll!(&mut second).is_pending(), "no work is known to be before it");
    tokio::time::sleep(Duration::from_millis(60)).await;
    drop(open);
    assert_eq!(first.await, Ok(()));
    assert_eq!(second.await, Err(HashingError::Overloaded { retry_after: secs(1) }));
    assert_eq!(queue.observe().shed, 1);
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_is_skipped() {
    let (queue, _) = queue(1, secs(25));
    let (open, gate) = mpsc::channel();
    let mut first = pin!(run(&queue, 1, waiting(), held(gate)));
    assert!(poll!(&mut first).is_pending());
    until(&queue, |seen| seen.running == 1).await;
    let ran = Arc::new(AtomicUsize::new(0));
    {
        let ran = Arc::clone(&ran);
        let mut gone = pin!(run(&queue, 1, waiting(), move |_| Ok(ran.fetch_add(1, Ordering::SeqCst))));
        assert!(poll!(&mut gone).is_pending());
    }
    drop(open);
    assert_eq!(first.await, Ok(()));
    until(&queue, |seen| seen.skipped == 1).await;
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_job_whose_caller_has_gone_is_skipped_and_its_flow_is_told() {
    let (queue, _) = queue(1, secs(25));
    let (open, gate) = mpsc::channel();
    let mut first = pin!(run(&queue, 1, waiting(), held(gate)));
    assert!(poll!(&mut first).is_pending());
    until(&queue, |seen| seen.running == 1).await;
    let caller = waiting();
    let mut second =
        pin!(run(&queue, 1, caller.clone(), |_| -> Result<(), HashingError> { panic!("it is not to run") }));
    assert!(poll!(&mut second).is_pending());
    caller.cancel();
    drop(open);
    assert_eq!(first.await, Ok(()));
    assert_eq!(second.await, Err(HashingError::Overloaded { retry_after: secs(1) }));
    let seen = queue.observe();
    assert_eq!((seen.done, seen.skipped, seen.failed), (1, 1, 0));
}

#[tokio::test]
async fn a_panic_fails_one_job_and_leaves_its_thread_to_the_next() {
    let (queue, alive) = queue(1, secs(25));
    for _ in 0..3 {
        let ended: Result<(), _> = run(&queue, 1, waiting(), |_| panic!("a bug")).await;
        assert_eq!(ended, Err(HashingError::Failed));
    }
    assert_eq!(run(&queue, 1, waiting(), |_| Ok(7)).await, Ok(7));
    assert_eq!(alive.load(Ordering::SeqCst), 1);
    until(&queue, |seen| (seen.failed, seen.done, seen.running) == (3, 1, 0)).await;
}

#[tokio::test]
async fn dropping_the_queue_joins_its_threads() {
    let (queue, alive) = queue(3, secs(25));
    assert_eq!(run(&queue, 1, waiting(), |_| Ok(())).await, Ok(()));
    drop(queue);
    assert_eq!(alive.load(Ordering::SeqCst), 0, "each thread has ended and dropped its hasher");
}

#[tokio::test]
async fn the_span_follows_the_work() {
    let entered = Entered::default();
    let threads = Arc::clone(&entered.0);
    let (queue, _) = queue(1, secs(25));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(entered));
    let span = tracing::info_span!("request");
    tracing::Instrument::instrument(run(&queue, 1, waiting(), |_| Ok(())), span).await.expect("done");
    let threads = threads.lock().expect("not poisoned").clone();
    assert!(threads.iter().any(|name| name == "hashing-0"), "{threads:?}");
}

/// Notes on which threads spans are entered.
#[derive(Default)]
struct Entered(Arc<std::sync::Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Entered {
    fn on_enter(&self, _: &tracing::span::Id, _: tracing_subscriber::layer::Context<'_, S>) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.0.lock().expect("not poisoned").push(name);
    }
}
