//! The budgets of a phone code, without a store and in Redis.

use super::runtime;
use super::sessions::redis_store;
use divan::{Bencher, black_box};
use portcullis_actors::derive::Subjects;
use portcullis_actors::domain::{Phone, UserId};
use portcullis_actors::limits::{LimitPolicy, Limits, PhonePolicy, Source};
use portcullis_actors::stores::LimitStore;
use portcullis_testkit::defaults;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const USER: UserId = UserId(42);
const SOURCE: Source = Source::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

fn limits(store: Arc<dyn LimitStore>) -> Limits {
    let config = defaults();
    let never = u32::MAX;
    let phone_codes = PhonePolicy {
        per_number_10min: never,
        per_number_day: never,
        per_account_day: never,
        per_address_hour: never,
        per_prefix_hour: never,
        total_hour: never,
        ..config.phone_codes
    };
    let policy = LimitPolicy { passwords: config.limits, phone_codes, resets: config.resets };
    Limits { store, subjects: Subjects::new(&[7; 32]), policy }
}

fn phone() -> Phone {
    Phone::parse("+12125550123", "US").expect("a number")
}

/// What is counted, and under which keyed digests.
#[divan::bench]
fn budgets_of_a_code(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    let (limits, phone) = (limits(Arc::new(store)), phone());
    bencher.bench_local(|| limits.code_sends(USER, black_box(&phone), SOURCE));
}

#[divan::bench]
fn redis_charge_the_budgets_of_a_code(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    let limits = limits(Arc::new(store));
    let budgets = limits.code_sends(USER, &phone(), SOURCE);
    bencher.bench_local(|| runtime.block_on(limits.charge(&budgets)).is_ok_and(|fits| fits.is_ok()));
}
