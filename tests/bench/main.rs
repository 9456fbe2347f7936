//! Micro-benchmarks of what a request is made of: `cargo bench`, by hand.
//!
//! Each figure is the time of one call on one thread. Those of `redis` include the way to a redis-server on this machine.
//! What a whole request costs is measured by the load kit.

mod credentials;
mod limits;
mod sessions;
mod traces;

fn main() {
    divan::main();
}

/// A runtime for the stores. Its own thread drives their connections and background work.
fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("the system gives a thread")
}
