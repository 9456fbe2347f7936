//! The budgets of a request, without a store and in Redis.

use super::runtime;
use super::sessions::redis_store;
use divan::{Bencher, black_box};
use portcullis_actors::derive::Subjects;
use portcullis_actors::domain::{Phone, UserId};
use portcullis_actors::limits::{LimitPolicy, Limits, Source};
use portcullis_actors::stores::LimitStore;
use portcullis_testkit::defaults;
use std::net::IpAddr;
use std::sync::Arc;

const USER: UserId = UserId(42);
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn limits(store: Arc<dyn LimitStore>) -> Limits {
    let config = defaults();
    // Budgets that are never used up.
    let resets = portcullis_actors::limits::ResetPolicy {
        apart_secs: 1,
        per_email_hour: u32::MAX,
        per_address_hour: u32::MAX,
        total_hour: u32::MAX,
        ..config.resets
    };
    let policy = LimitPolicy { passwords: config.limits, phone_codes: config.phone_codes, resets };
    Limits { store, subjects: Subjects::new(&[7; 32]), policy }
}

/// What each of them counts, and under which keyed digest.
#[divan::bench]
fn budgets_of_a_phone_code(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    let limits = limits(Arc::new(store));
    let phone = Phone::parse("+12125550123", "US").expect("a number");
    bencher.bench_local(|| limits.code_sends(USER, black_box(&phone), Source::Address(PEER)));
}

#[divan::bench]
fn redis_charge_one_budget(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    let limits = limits(Arc::new(store));
    let budgets = [limits.address_attempts(PEER)];
    bencher.bench_local(|| runtime.block_on(limits.charge(&budgets)).is_ok());
}
