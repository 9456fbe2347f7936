//! From the start of the process to listening, and its memory then.

use crate::kit::Kit;
use crate::measure::{Outcome, median};
use crate::results::{Baseline, Run};
use crate::scenarios::mebibytes;
use crate::turns::figure;
use crate::{pinning, proc};
use std::time::Duration;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let mut target = kit.own(kit.options.users.unwrap_or(1_000), kit.options.sessions, &[])?;
    let own = target.own.as_mut().ok_or("no server")?;
    let (mut times, mut resident) = (Vec::new(), Vec::new());
    for _ in kit.rounds() {
        own.server.kill();
        own.server = pinning::on(kit.server_cores(), || Ok(own.setup.start()?))?;
        times.push(own.server.started_in().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(500));
        resident.push(proc::sample(own.server.id())?.rss_bytes as f64);
    }
    let mut run = kit.unmeasured(target.name());
    run.baselines.push(figure("start to listening", "ms", median(times), Some(300.0)));
    run.baselines.push(memory(median(resident) as u64));
    Ok(run)
}

/// The resident memory of a server that has just started, without that of its hashing threads, which is what the settings
/// say. The first of them has made a hash at the start; the others have not touched theirs.
pub(super) fn memory(resident: u64) -> Baseline {
    let arena = u64::from(portcullis_testkit::defaults().hashing.memory_kib) * 1024;
    let name =
        format!("memory of a server that has just started, less {:.0} MiB of one hashing thread", mebibytes(arena));
    figure(&name, "MiB", mebibytes(resident.saturating_sub(arena)), Some(30.0))
}
