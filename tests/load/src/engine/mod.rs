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

use crate::measure::Outcome;
use crate::pinning;
use crate::proc::{self, Sample};
use crate::progress::{Now, Progress};
use crate::results::Arrivals;
use client::Endpoint;
use recording::Recording;
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
    Open { rate: f64, arrivals: Arrivals, connections: usize },
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
    /// CPU time of the busiest client thread, per second.
    pub client_busy: f64,
}

/// How fast a server was, and how busy both sides were.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Good answers per second.
    pub rate: f64,
    /// CPU time of the server per request, in seconds.
    pub cpu_each: f64,
    /// CPU time of the server per second, in cores.
    pub server_busy: f64,
    /// CPU time of the busiest client thread per second.
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
        self.recording.totals.good as f64 / self.length.as_secs_f64()
    }

    /// One of its operations.
    pub fn operation(&self, name: &str) -> Option<&recording::Operation> {
        self.recording.operations.iter().find(|operation| operation.name == name)
    }

    /// Good answers of one operation per second.
    pub fn rate_of(&self, name: &str) -> f64 {
        self.operation(name).map_or(0.0, |operation| operation.good as f64) / self.length.as_secs_f64()
    }

    /// CPU time of the server beside hashing, in seconds.
    pub fn cpu_beside_hashing(&self) -> f64 {
        (self.server_cpu.saturating_sub(self.hashing_cpu)).as_secs_f64()
    }

    /// In a few numbers.
    pub fn pace(&self) -> Pace {
        let cpu = self.server_cpu.as_secs_f64();
        Pace {
            rate: self.rate(),
            cpu_each: cpu / self.recording.totals.sent.max(1) as f64,
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
/// When a thread cannot be pinned, or the server's process ends meanwhile.
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
        let watched = watch(plan, began, merged);
        let mut client_busy = 0_f64;
        for client in clients {
            client_busy = client_busy.max(client.join().map_err(|_| "a client thread panicked")??);
        }
        let samples = watched?;
        let sum = |pick: fn(&Sample) -> Duration| samples.iter().flatten().map(pick).sum();
        let (server_cpu, hashing_cpu) = (sum(|sample| sample.cpu), sum(|sample| sample.hashing_cpu));
        Ok(Measured { recording: merged(), samples, length: plan.length, server_cpu, hashing_cpu, client_busy })
    })
}

/// Samples the server and shows the progress once per second of the measured part.
fn watch(plan: &Plan, began: Instant, merged: impl Fn() -> Recording) -> Outcome<Vec<Option<Sample>>> {
    let sample = || plan.process.map(proc::sample).transpose();
    let rate = plan.streams.iter().map(|stream| match stream.load {
        Load::Open { rate, .. } => rate,
        Load::Closed { .. } => 0.0,
    });
    let mut progress = plan.shown.then(|| Progress::start(&plan.name, rate.sum(), plan.length));
    thread::sleep(began.saturating_duration_since(Instant::now()));
    let (mut last, mut samples, mut good) = (sample()?, Vec::new(), 0);
    let (mut at, step) = (Duration::ZERO, Duration::from_secs(1));
    while at < plan.length {
        at = (at + step).min(plan.length);
        thread::sleep((began + at).saturating_duration_since(Instant::now()));
        let now = sample()?;
        samples.push(now.zip(last).map(|(now, last)| Sample {
            cpu: now.cpu.saturating_sub(last.cpu),
            hashing_cpu: now.hashing_cpu.saturating_sub(last.hashing_cpu),
            ..now
        }));
        last = now;
        if let Some(progress) = &mut progress {
            let so_far = merged();
            progress.show(&Now {
                elapsed: at,
                good_per_second: (so_far.totals.good - good) as f64,
                latency: so_far.seconds().last().and_then(|second| second.latency),
                errors: so_far.totals.errors,
                dropped: so_far.totals.dropped,
            });
            good = so_far.totals.good;
        }
    }
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok(samples)
}

/// One client thread; returns its CPU time per second of the measured part.
fn client(plan: &Plan, share: Share, recording: Arc<Mutex<Recording>>, start: Instant) -> Outcome<f64> {
    if let Some(core) = plan.cores.get(share.thread) {
        pinning::pin(&[*core])?;
    }
    let (began, end) = (start + plan.warm_up, start + plan.warm_up + plan.length);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let mut first = 0;
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
        match stream.load {
            Load::Closed { connections } => {
                local.spawn_local(closed::run(part(connections), sender, end));
            }
            Load::Open { rate, arrivals, connections } => {
                let connections = part(connections).max(1);
                let load = open::Open { rate, arrivals, connections, patience: PATIENCE, thread, threads };
                local.spawn_local(async move {
                    if let Err(error) = open::run(load, sender, start, end).await {
                        eprintln!("{error}");
                    }
                });
            }
        }
    }
    let busy = local.spawn_local(async move {
        tokio::time::sleep_until(began.into()).await;
        let before = (Instant::now(), proc::cpu_of_this_thread());
        tokio::time::sleep_until(end.into()).await;
        let cpu = proc::cpu_of_this_thread() - before.1;
        cpu.as_secs_f64() / before.0.elapsed().as_secs_f64()
    });
    runtime.block_on(async {
        local.await;
        Ok(busy.await?)
    })
}
