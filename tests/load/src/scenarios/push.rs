//! The push registration that an app repeats at each launch, unchanged, beside a check.

use crate::kit::Kit;
use crate::measure::Outcome;
use crate::results::Run;
use crate::scenarios::check::{Other, beside_checks};
use crate::sources::push;

const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[])?;
    // The first registration of a device is a write.
    kit.once(&target, 0..target.users.len(), 8, push)?;
    let other = Other { name: "push", operations: &["push-registration"], label: "unchanged push registrations" };
    beside_checks(kit, &target, other, 0.80, push)
}
