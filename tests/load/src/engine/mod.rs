//! The engine: runs a plan, and returns what was measured.
//!
//! Each client thread has its own connections, its share of the requests and its own recording; threads share nothing.
//! `open.rs` and `closed.rs` decide when a request is sent, `sender.rs` sends it, `recording.rs` counts.

pub mod answer;
mod arrivals;
pub mod client;
mod closed;
mod open;
pub mod recording;
mod sender;
mod timer;

use crate::interrupt;
use crate::measure::Outcome;
use crate::options::Spacing;
use crate::pinning;
use crate::proc::{self, Sample};
use crate::progress::{Now, Progress};
use crate::results::Totals;
use client::Endpoint;
use recording::{Recording, latencies, spread};
use sender::Sender;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Which request it is: the operation of its stream, and the user or whatever else the source counts by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tag {
    pub operation: usize,
    pub subject: usize,
}

/// Makes the requests of a stream in one client thread.
pub trait Source {
    /// Appends the next request to an empty buffer.
    fn next(&mut self, request: &mut Vec<u8>) -> Tag;

    /// The answer to one of them; no status if there was none.
    fn answered(&mut self, _tag: Tag, _status: Option<u16>, _body: &[u8]) {}
}

/// One thread of so many.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub thread: usize,
    pub threads: usize,
}

impl Share {
    /// Whether something with this number is this thread's.
    pub fn has(self, number: usize) -> bool {
        number % self.threads == self.thread
    }
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// At a rate per second, on at most so many connections.
    Open { rate: f64, spacing: Spacing, connections: usize },
    /// On so many connections, each as fast as it is answered.
    Closed { connections: usize },
}

/// Requests of one or several operations.
pub struct Stream {
    /// The names of its operations.
    pub operations: &'static [&'static str],
    pub load: Load,
    /// The status of a good answer.
    pub good: u16,
    pub source: Box<dyn Fn(Share) -> Box<dyn Source> + Send + Sync>,
}

/// A run, or one round of one.
pub struct Plan {
    pub name: String,
    pub endpoint: Endpoint,
    pub streams: Vec<Stream>,
    /// Before the measured part; at the same load, and not counted.
    pub warm_up: Duration,
    pub length: Duration,
    /// The cores of the client: a thread each. Empty: one thread, not pinned.
    pub cores: Vec<usize>,
    /// The server, if it runs on this machine.
    pub process: Option<u32>,
    /// Whether the progress line is shown.
    pub shown: bool,
}

/// The longest wait for an answer, and for a connection.
const TIME_OUT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(1);

/// What was measured in one or several rounds.
pub struct Measured {
    pub recording: Recording,
    /// The server once per second, with CPU time since the second before.
    pub samples: Vec<Option<Sample>>,
    pub length: Duration,
    /// CPU time of the server, and the part of its hashing threads.
    pub server_cpu: Duration,
    pub hashing_cpu: Duration,
    /// The part of the time in which the client's busiest core was busy, with whatever ran there; 0 if it has none.
    pub client_busy: f64,
}

/// How fast a server was, and how busy both sides were.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Good answers per second.
    pub rate: f64,
    /// CPU time of the server per answer, in seconds.
    pub cpu_each: f64,
    /// CPU time of the server per second, in cores.
    pub server_busy: f64,
    /// As in [`Measured`].
    pub client_busy: f64,
}

impl Pace {
    /// Of work without a server and a client.
    pub fn alone(rate: f64) -> Self {
        Self { rate, cpu_each: f64::NAN, server_busy: f64::NAN, client_busy: 0.0 }
    }
}

impl Measured {
    /// Good answers per second.
    pub fn rate(&self) -> f64 {
        self.recording.totals.in_time as f64 / self.length.as_secs_f64()
    }

    /// One of its operations.
    pub fn operation(&self, name: &str) -> Option<&recording::Operation> {
        self.recording.operations.iter().find(|operation| operation.name == name)
    }

    /// Good answers of one operation per second.
    pub fn rate_of(&self, name: &str) -> f64 {
        self.operation(name).map_or(0.0, |operation| operation.in_time as f64) / self.length.as_secs_f64()
    }

    /// The 99th percentile of an operation in milliseconds. None if more than 1 % had no good answer; any operation may be
    /// among the dropped ones.
    pub fn p99_ms(&self, name: &str) -> Option<f64> {
        let totals = &self.recording.totals;
        (totals.dropped as f64 <= 0.01 * totals.planned as f64).then(|| self.operation(name)?.p99_ms())?
    }

    /// CPU time of the server beside hashing, in seconds.
    pub fn cpu_beside_hashing(&self) -> f64 {
        (self.server_cpu.saturating_sub(self.hashing_cpu)).as_secs_f64()
    }

    /// Answers of any kind that came within the measured part; at least 1, since it divides.
    pub fn answers(&self) -> u64 {
        self.recording.operations.iter().flat_map(|operation| operation.statuses.values()).sum::<u64>().max(1)
    }

    /// In a few numbers.
    pub fn pace(&self) -> Pace {
        let cpu = self.server_cpu.as_secs_f64();
        Pace {
            rate: self.rate(),
            cpu_each: cpu / self.answers() as f64,
            server_busy: cpu / self.length.as_secs_f64(),
            client_busy: self.client_busy,
        }
    }

    /// Adds a later round.
    pub fn follow(&mut self, round: Self) {
        self.recording.add(&round.recording, self.samples.len());
        self.samples.extend(round.samples);
        self.length += round.length;
        self.server_cpu += round.server_cpu;
        self.hashing_cpu += round.hashing_cpu;
        self.client_busy = self.client_busy.max(round.client_busy);
    }
}

/// Runs a plan.
///
/// # Errors
/// When a thread cannot be pinned, the server's process ends meanwhile, or a signal came before the measured part.
pub fn run(plan: &Plan) -> Outcome<Measured> {
    // A moment for the threads to start.
    let start = Instant::now() + Duration::from_millis(20);
    let began = start + plan.warm_up;
    let names: Vec<&str> = plan.streams.iter().flat_map(|stream| stream.operations).copied().collect();
    let threads = plan.cores.len().max(1);
    let new = || Arc::new(Mutex::new(Recording::new(&names, began, plan.length)));
    let recordings: Vec<_> = (0..threads).map(|_| new()).collect();
    let merged = || {
        let mut all = Recording::new(&names, began, plan.length);
        for recording in &recordings {
            all.add(&recording.lock().unwrap_or_else(PoisonError::into_inner), 0);
        }
        all
    };
    thread::scope(|scope| {
        let clients: Vec<_> = recordings
            .iter()
            .enumerate()
            .map(|(thread, recording)| {
                let (recording, share) = (Arc::clone(recording), Share { thread, threads });
                scope.spawn(move || client(plan, share, recording, start).map_err(|error| error.to_string()))
            })
            .collect();
        let watched = watch(plan, began, &recordings);
        for client in clients {
            client.join().map_err(|_| "a client thread panicked")??;
        }
        let Watched { samples, length, client_busy } = watched?;
        let sum = |pick: fn(&Sample) -> Duration| samples.iter().flatten().map(pick).sum();
        let (server_cpu, hashing_cpu) = (sum(|sample| sample.cpu), sum(|sample| sample.hashing_cpu));
        Ok(Measured { recording: merged(), samples, length, server_cpu, hashing_cpu, client_busy })
    })
}

/// What is seen from outside of the client threads.
struct Watched {
    samples: Vec<Option<Sample>>,
    /// Shorter than planned after a signal.
    length: Duration,
    client_busy: f64,
}

/// Samples the server and shows the progress once per second of the measured part.
fn watch(plan: &Plan, began: Instant, recordings: &[Arc<Mutex<Recording>>]) -> Outcome<Watched> {
    let sample = || plan.process.map(proc::sample).transpose();
    let rate = plan.streams.iter().map(|stream| match stream.load {
        Load::Open { rate, .. } => rate,
        Load::Closed { .. } => 0.0,
    });
    let mut progress = plan.shown.then(|| Progress::start(&plan.name, rate.sum(), plan.length));
    interrupt::sleep_until(began);
    if interrupt::interrupted() {
        return Err("interrupted before anything was measured".into());
    }
    let cores = proc::core_times(&plan.cores)?;
    let (mut last, mut samples, mut good) = (sample()?, Vec::new(), 0);
    let (mut at, step) = (Duration::ZERO, Duration::from_secs(1));
    while at < plan.length {
        let due = (at + step).min(plan.length);
        interrupt::sleep_until(began + due);
        if interrupt::interrupted() {
            // Ctrl-C at a terminal reaches the server too.
            at = began.elapsed().min(due);
            break;
        }
        let second = samples.len();
        at = due;
        let now = sample()?;
        samples.push(now.zip(last).map(|(now, last)| Sample {
            cpu: now.cpu.saturating_sub(last.cpu),
            hashing_cpu: now.hashing_cpu.saturating_sub(last.hashing_cpu),
            ..now
        }));
        last = now;
        if let Some(progress) = &mut progress {
            let (mut totals, mut latency) = (Totals::default(), latencies(2));
            for recording in recordings {
                let recording = recording.lock().unwrap_or_else(PoisonError::into_inner);
                recording.glance(second, &mut totals, &mut latency);
            }
            progress.show(&Now {
                elapsed: at,
                good_per_second: (totals.in_time - good) as f64,
                latency: spread(&latency),
                errors: totals.errors,
                dropped: totals.dropped,
            });
            good = totals.in_time;
        }
    }
    if let Some(progress) = progress {
        progress.finish();
    }
    let client_busy = proc::busiest(&cores, &proc::core_times(&plan.cores)?);
    Ok(Watched { samples, length: at, client_busy })
}

/// One client thread.
fn client(plan: &Plan, share: Share, recording: Arc<Mutex<Recording>>, start: Instant) -> Outcome<()> {
    if let Some(core) = plan.cores.get(share.thread) {
        pinning::pin(&[*core])?;
    }
    let end = start + plan.warm_up + plan.length;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let (mut first, mut streams) = (0, Vec::new());
    for stream in &plan.streams {
        let sender = Rc::new(Sender {
            endpoint: plan.endpoint.clone(),
            source: RefCell::new((stream.source)(share)),
            recording: Arc::clone(&recording),
            first,
            good: stream.good,
            time_out: TIME_OUT,
            buffers: RefCell::default(),
        });
        first += stream.operations.len();
        let Share { thread, threads } = share;
        let part = |all: usize| all / threads + usize::from(thread < all % threads);
        streams.push(match stream.load {
            Load::Closed { connections } => {
                let connections = part(connections);
                local.spawn_local(async move {
                    closed::run(connections, sender, end).await;
                    Ok(())
                })
            }
            Load::Open { rate, spacing, connections } => {
                let connections = part(connections).max(1);
                let load = open::Open { rate, spacing, connections, patience: PATIENCE, thread, threads };
                local.spawn_local(open::run(load, sender, start, end))
            }
        });
    }
    runtime.block_on(async {
        local.await;
        for stream in streams {
            stream.await??;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    struct Same;

    impl Source for Same {
        fn next(&mut self, request: &mut Vec<u8>) -> Tag {
            request.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
            Tag::default()
        }
    }

    /// Against a server that answers each request at once.
    fn measured(load: Load) -> Measured {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::at(listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                    }
                });
            }
        });
        let stream = Stream { operations: &["same"], load, good: 200, source: Box::new(|_| Box::new(Same)) };
        let (warm_up, length) = (Duration::from_millis(50), Duration::from_millis(300));
        let (name, process, cores) = ("test".to_owned(), Some(std::process::id()), Vec::new());
        run(&Plan { name, endpoint, streams: vec![stream], warm_up, length, cores, process, shown: false }).unwrap()
    }

    #[test]
    fn each_load_is_sent_and_counted() {
        let closed = measured(Load::Closed { connections: 3 });
        let open = measured(Load::Open { rate: 1_000.0, spacing: Spacing::Constant, connections: 100 });
        assert_eq!(open.recording.totals.planned, 300);
        for measured in [closed, open] {
            let totals = measured.recording.totals;
            assert_eq!((totals.sent + totals.dropped, totals.errors), (totals.planned, 0), "{totals:?}");
            assert!(totals.in_time > 0 && measured.answers() == totals.in_time, "{totals:?}");
            assert_eq!(measured.samples.len(), 1);
        }
    }
}
