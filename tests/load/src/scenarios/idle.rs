//! Idle connections: what 10,000 of them cost in memory, beside the static answer's.

use crate::baselines::static_answer::Static;
use crate::engine::client::Endpoint;
use crate::kit::Kit;
use crate::measure::Outcome;
use crate::proc;
use crate::results::{Aim, Run};
use crate::scenarios::mebibytes;
use crate::sources::check;
use crate::turns::compared;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Both ends are files of this machine.
const CONNECTIONS: usize = 10_000;
const MOST_OF_OPEN_FILES: usize = 200;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.own(kit.options.users.unwrap_or(1_000), kit.options.sessions, &[])?;
    let own = target.own.as_ref().ok_or("no server")?;
    let bare = Static::start(kit.server_cores())?;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let count = kit.options.connections.unwrap_or(CONNECTIONS).min(files.saturating_sub(MOST_OF_OPEN_FILES));
    let request = |address: SocketAddr, user: usize| {
        let mut request = Vec::new();
        check(&Endpoint::at(address), &target.users[user % target.users.len()], &mut request);
        request
    };
    let growth = |process: u32, address: SocketAddr| {
        let before = proc::sample(process)?.rss_bytes;
        let mut open = Vec::with_capacity(count);
        for number in 0..count {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(&request(address, number))?;
            let mut answer = [0; 2_048];
            let read = stream.read(&mut answer)?;
            if !answer[..read].starts_with(b"HTTP/1.1 200") {
                return Err(format!("connection {number} was not answered with 200").into());
            }
            open.push(stream);
        }
        std::thread::sleep(Duration::from_secs(1));
        Outcome::Ok((before, proc::sample(process)?.rss_bytes.saturating_sub(before)))
    };
    let (_, of_bare) = growth(bare.id(), bare.address)?;
    let (idle, of_ours) = growth(own.server.id(), own.server.address())?;
    let mut run = kit.unmeasured(target.name());
    run.settings.connections = count as u64;
    run.baselines.push(super::start::memory(idle));
    let names = [&format!("growth by {} idle connections", crate::figures::count(count as u64)), "static answer"];
    let mut baseline = compared(names.map(AsRef::as_ref), "MiB", [mebibytes(of_ours), mebibytes(of_bare)], None);
    baseline.aim = Some(Aim::RatioAtMost(1.2));
    baseline.ratio = Some(of_ours as f64 / of_bare as f64).filter(|ratio| ratio.is_finite());
    run.baselines.push(baseline);
    Ok(run)
}
