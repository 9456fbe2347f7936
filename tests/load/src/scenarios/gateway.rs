//! The question of a proxy at the gateway, beside a check: it may cost 1.15 of one.

use crate::kit::Kit;
use crate::measure::Outcome;
use crate::results::Run;
use crate::scenarios::check::{Other, beside_checks};
use crate::sources::gateway;

const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[])?;
    let other = Other { name: "gateway", operations: &["gateway-check"], label: "checks through the gateway" };
    beside_checks(kit, &target, other, 1.0 / 1.15, gateway)
}
