//! CPU time and memory of this process, from `/proc`. Other systems than Linux have none, and the metrics are left out.

use std::time::Duration;

/// What the process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system time of all threads.
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
}

/// Ticks a second in `/proc`, whatever the kernel's own frequency is (`USER_HZ`, proc(5)).
const TICKS: u64 = 100;

pub(super) fn usage() -> Option<Usage> {
    let read = |file| std::fs::read_to_string(file).ok();
    Some(Usage { cpu: cpu(&read("/proc/self/stat")?)?, resident_bytes: resident_bytes(&read("/proc/self/status")?)? })
}

/// Fields 14 and 15. The second field is the name in parentheses, which may contain spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 1000 / TICKS))
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1750)));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t9\n"), Some(2 * 1024 * 1024));
        assert_eq!((cpu("7 (x) S 1"), resident_bytes("VmSize: 1 kB")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_something() {
        assert!(usage().is_some_and(|usage| usage.resident_bytes > 1024 * 1024));
    }
}
