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
    let read = || -> Outcome<Sample> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let hashing_cpu = cpu_of_threads(process, "hashing")?;
        Ok(Sample { cpu: ticks(&stat), hashing_cpu, rss_bytes: memory(process, "VmRSS")? })
    };
    // One that has ended has no memory.
    Ok(read().map_err(|_| format!("the measured process, {process}, has ended"))?)
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

/// From now on `VmHWM` is the peak from now on.
///
/// # Errors
/// When the process is not this user's.
pub fn forget_the_peak(process: u32) -> Outcome<()> {
    // proc_pid_clear_refs(5)
    Ok(fs::write(format!("/proc/{process}/clear_refs"), "5")?)
}

/// How long each of these cores was busy and how long it exists, in ticks.
///
/// # Errors
/// When the kernel does not say it.
pub fn core_times(cores: &[usize]) -> Outcome<Vec<[u64; 2]>> {
    let stat = fs::read_to_string("/proc/stat")?;
    let times = |core: &usize| {
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user and nice.
        let ticks: Vec<u64> = line?.split_whitespace().take(8).filter_map(|ticks| ticks.parse().ok()).collect();
        let (all, idle) = (ticks.iter().sum::<u64>(), ticks.get(3)? + ticks.get(4)?);
        Some([all - idle, all])
    };
    Ok(cores.iter().map(times).collect::<Option<_>>().ok_or("/proc/stat lacks a core")?)
}

/// The largest part of the time between these that a core was busy; 0 without cores.
pub fn busiest(before: &[[u64; 2]], after: &[[u64; 2]]) -> f64 {
    let part = |(before, after): (&[u64; 2], &[u64; 2])| {
        let [busy, all] = [0, 1].map(|at| after[at].saturating_sub(before[at]));
        busy as f64 / all.max(1) as f64
    };
    before.iter().zip(after).map(part).fold(0.0, f64::max)
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
    fn the_busiest_core_counts() {
        assert_eq!(busiest(&[[10, 100], [0, 100]], &[[20, 200], [90, 200]]), 0.9);
        assert_eq!(busiest(&[], &[]), 0.0);
        let all = core_times(&[0]).unwrap();
        assert!(all[0][1] >= all[0][0] && all[0][0] > 0);
        assert!(core_times(&[100_000]).is_err());
    }

    #[test]
    fn a_peak_is_forgotten() {
        let process = std::process::id();
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        forget_the_peak(process).unwrap();
        let (peak, now) = (memory(process, "VmHWM").unwrap(), memory(process, "VmRSS").unwrap());
        assert!(peak < now + (32 << 20), "{peak} {now}");
    }

    #[test]
    fn this_process_has_memory() {
        assert!(sample(std::process::id()).unwrap().rss_bytes > 1_000_000);
        assert!(memory(std::process::id(), "VmNothing").is_err());
        assert!(sample(u32::MAX).unwrap_err().to_string().ends_with("has ended"));
    }
}
