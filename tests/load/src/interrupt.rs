//! Ctrl-C and SIGTERM: the measured part ends, and what was measured until then is reported. The servers of the kit end
//! with it, as after a whole run.

use crate::measure::Outcome;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Listens for the signals from now on.
///
/// # Errors
/// When the system refuses.
pub fn listen(runtime: &Runtime) -> Outcome<()> {
    let _inside = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind)?;
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    }
    Ok(())
}

/// Whether one came.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits until then, or until a signal comes.
pub fn sleep_until(then: Instant) {
    while !interrupted() {
        match then.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return,
            left => thread::sleep(left.min(Duration::from_millis(100))),
        }
    }
}
