//! From the start of the process to listening, and its memory then.

use crate::kit::{Kit, figure};
use crate::measure::{Outcome, median};
use crate::results::Run;
use crate::scenarios::mebibytes;
use crate::{pinning, proc};
use std::time::Duration;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let mut target = kit.own(kit.options.users.unwrap_or(1_000), kit.options.sessions, &[])?;
    let own = target.own.as_mut().ok_or("no server")?;
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..kit.options.rounds {
        own.server.kill();
        own.server = pinning::on(kit.server_cores(), || Ok(own.setup.start()?))?;
        times.push(own.server.started_in().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(500));
        memory.push(mebibytes(proc::sample(own.server.id())?.rss_bytes));
    }
    let mut run = kit.unmeasured(target.name());
    run.baselines.push(figure("start to listening (at most 300)", "ms", median(times)));
    run.baselines.push(figure("memory of a server that has just started (at most 30)", "MiB", median(memory)));
    Ok(run)
}
