//! The priority of the threads that answer requests.

/// Added to the niceness of an HTTP thread. With equal shares of a busy core a sign-in would get less than half of it
/// during a flood of checks, because the HTTP thread has a part in each sign-in. Now the hashing thread gets 55 %. A check
/// during many sign-ins hardly notices: the kernel lets a thread that wakes up run within milliseconds. A scrape must not
/// have more than they do.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 1;

/// Leaves time for hashing during a flood of checks. On Linux each thread has its own niceness; other systems keep theirs.
pub(super) fn lower() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // On Linux this is the calling thread.
        let thread = None;
        let lowered =
            getpriority_process(thread).and_then(|nice| setpriority_process(thread, (nice + NICENESS).min(19)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "an HTTP thread keeps its priority");
        }
    }
}
