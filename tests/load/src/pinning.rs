//! Which cores the server has, and which the client and everything else: a client on the server's cores would slow down
//! what it measures.

use crate::measure::Outcome;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::thread;

/// The cores of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The server's, or the baseline's that is measured in its place.
    pub server: Vec<usize>,
    /// The client's, and those of Redis, PostgreSQL and the sinks.
    pub client: Vec<usize>,
}

impl Cores {
    /// The first half of the cores that this process may use is the server's, at most so many. None if there is only one.
    ///
    /// # Errors
    /// When the system does not say which these are.
    pub fn split(most: usize) -> Outcome<Option<Self>> {
        Ok(Self::halves(&Self::all()?, most))
    }

    /// All that this process may use.
    ///
    /// # Errors
    /// When the system does not say which these are.
    pub fn all() -> Outcome<Vec<usize>> {
        let allowed = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
    }

    fn halves(all: &[usize], most: usize) -> Option<Self> {
        let (server, client) = all.split_at((all.len() / 2).min(most));
        (!server.is_empty()).then(|| Self { server: server.to_vec(), client: client.to_vec() })
    }

    /// As it is said in results: `server: core 0, client: core 1`.
    pub fn text(cores: Option<&Self>) -> String {
        let list = |cores: &[usize]| match cores {
            [one] => format!("core {one}"),
            [first, .., last] if last - first + 1 == cores.len() => format!("cores {first}–{last}"),
            _ => format!("cores {}", cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
        };
        cores.map_or_else(String::new, |cores| {
            format!("server: {}; client, Redis, PostgreSQL and sinks: {}", list(&cores.server), list(&cores.client))
        })
    }
}

/// Lets this thread, and every thread and process that it starts from now on, run on these cores only.
///
/// # Errors
/// When the system refuses.
pub fn pin(cores: &[usize]) -> Outcome<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Runs something, which may start processes, on these cores. Empty: on all of this thread's.
///
/// # Errors
/// Those of `work`, and when the system refuses.
pub fn on<T: Send>(cores: &[usize], work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    let work = || {
        if !cores.is_empty() {
            pin(cores).map_err(|error| error.to_string())?;
        }
        work().map_err(|error| error.to_string())
    };
    let done = thread::scope(|scope| scope.spawn(work).join());
    Ok(done.map_err(|_| "a thread of the load kit panicked")??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_half_of_the_cores() {
        assert_eq!(Cores::halves(&[3], 9), None);
        let two = Cores::halves(&[0, 1], 9).unwrap();
        assert_eq!((two.server.as_slice(), two.client.as_slice()), (&[0][..], &[1][..]));
        let five = Cores::halves(&[0, 1, 2, 4, 6], 9).unwrap();
        assert_eq!(Cores::text(Some(&five)), "server: cores 0–1; client, Redis, PostgreSQL and sinks: cores 2, 4, 6");
        let one = Cores::halves(&[0, 1, 2, 3], 1).unwrap();
        assert_eq!((one.server.as_slice(), one.client.as_slice()), (&[0][..], &[1, 2, 3][..]));
        assert_eq!(Cores::text(None), "");
    }

    #[test]
    fn what_is_started_stays_on_the_cores() {
        let Some(cores) = Cores::split(9).unwrap() else { return };
        let inside = on(&cores.server, || Cores::split(9)).unwrap();
        let all = Cores::halves(&cores.server, 9);
        assert_eq!(inside, all);
    }
}
