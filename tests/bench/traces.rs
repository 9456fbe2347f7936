//! What traces cost a request: nothing to speak of when it is not traced.

use divan::{Bencher, black_box};
use portcullis_actors::trace::{self, TraceParent};

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[divan::bench]
fn read_a_traceparent(bencher: Bencher) {
    bencher.bench(|| TraceParent::parse(black_box(VALID.as_bytes())));
}

#[divan::bench]
fn a_store_call_without_a_trace() -> bool {
    let span = trace::span(|| trace::store_call("redis", "find"));
    span.end(black_box(Ok::<_, ()>(true))).is_ok_and(|found| found)
}
