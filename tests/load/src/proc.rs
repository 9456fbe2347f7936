//! What the kernel says about processes and threads, and about the machine (proc(5)).

use crate::measure::Outcome;
use crate::results::Machine;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// CPU time of a process, and its memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// User and system, of all threads; in ticks of 10 ms.
    pub cpu: Duration,
    /// The part of the hashing threads.
    pub hashing_cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// Of a process that runs.
///
/// # Errors
/// When there is no such process.
pub fn sample(process: u32) -> Outcome<Sample> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let hashing_cpu = cpu_of_threads(process, "hashing")?;
    Ok(Sample { cpu: ticks(&stat), hashing_cpu, rss_bytes: memory(process, "VmRSS")? })
}

/// A line of `status` that is in kilobytes, for example `VmHWM`, the peak of the resident memory.
///
/// # Errors
/// When there is no such process or line.
pub fn memory(process: u32, name: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    Ok(line.ok_or_else(|| format!("/proc/{process}/status has no {name}"))?.parse::<u64>()? * 1024)
}

/// CPU time of those threads of a process whose name begins like this.
fn cpu_of_threads(process: u32, name: &str) -> Outcome<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = task?.path();
        // A thread may end while it is asked.
        let named = fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.starts_with(name));
        if named {
            sum += cpu_of_thread(&thread);
        }
    }
    Ok(sum)
}

/// Fields 14 and 15 of `stat`.
fn ticks(stat: &str) -> Duration {
    // The name in parentheses may hold spaces; what follows it does not.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// CPU time of the calling thread.
pub fn cpu_of_this_thread() -> Duration {
    cpu_of_thread(Path::new("/proc/thread-self"))
}

/// In nanoseconds where the kernel keeps them, else in ticks.
fn cpu_of_thread(thread: &Path) -> Duration {
    let field = |text: String| text.split_whitespace().next()?.parse().ok();
    let nanos = fs::read_to_string(thread.join("schedstat")).ok().and_then(field).filter(|nanos| *nanos > 0);
    let in_ticks = || fs::read_to_string(thread.join("stat")).map_or(Duration::ZERO, |stat| ticks(&stat));
    nanos.map_or_else(in_ticks, Duration::from_nanos)
}

/// This machine.
pub fn machine(pinning: String) -> Machine {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
    let model = text.lines().find(|line| line.starts_with("model name")).and_then(field);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    Machine {
        model: model.unwrap_or_else(|| "unknown".to_owned()),
        cores: text.lines().filter(|line| line.starts_with("processor")).count(),
        memory_bytes: kilobytes.unwrap_or_default() * 1024,
        pinning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_no_field() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 12 30 0 0 20 0 1 0 5";
        assert_eq!(ticks(stat), Duration::from_millis(420));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(sample(std::process::id()).unwrap().rss_bytes > 1_000_000);
        assert!(memory(std::process::id(), "VmNothing").is_err());
    }
}
