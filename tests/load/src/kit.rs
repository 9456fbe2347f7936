//! One run of a scenario: starts the target, measures, and turns what was measured into results.

use crate::engine::client::{Connection, Endpoint};
use crate::engine::recording::spread;
use crate::engine::{self, Load, Measured, Plan, Stream};
use crate::interrupt;
use crate::measure::Outcome;
use crate::options::{Options, Sessions};
use crate::pinning::{self, Cores};
use crate::proc;
use crate::report;
use crate::results::{self, Arrivals, Latency, Operation, Run, Second, Settings, Threshold, Totals};
use crate::summary;
use crate::target::{Start, Target, User};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A client that is busier than this may be the limit.
pub const BUSY: f64 = 0.85;

/// What production does and the profile `loadtest` leaves out: limits, and a log line for each request that is no check.
/// Requests then come from many addresses.
pub const AS_IN_PRODUCTION: [(&str, &str); 3] =
    [("limits.enabled", "true"), ("log.filter", "info"), ("server.trusted_proxies", "127.0.0.1/32")];

/// What a scenario works with.
pub struct Kit {
    pub name: &'static str,
    pub options: Options,
    /// None on a machine with one core, and for a server elsewhere.
    pub cores: Option<Cores>,
    /// A client thread for each; empty on a machine with one core.
    client_cores: Vec<usize>,
    /// For what is started beside the client: Redis, PostgreSQL, sinks.
    pub runtime: Runtime,
    began: Timestamp,
}

impl Kit {
    /// Pins this thread, and with it all that it starts, to the client's cores. The server has as many at most.
    ///
    /// # Errors
    /// When the system refuses, or a file for the results cannot be written.
    pub fn new(name: &'static str, options: Options, most_server_cores: usize) -> Outcome<Self> {
        let cores = if options.url.is_some() { None } else { Cores::split(most_server_cores)? };
        if let Some(cores) = &cores {
            pinning::pin(&cores.client)?;
        }
        raise_open_files();
        // Before the run, which takes minutes.
        for file in [&options.json, &options.html].into_iter().flatten().filter(|file| *file != Path::new("-")) {
            let opened = OpenOptions::new().create(true).append(true).open(file);
            opened.map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let client_cores = match &cores {
            Some(cores) => cores.client.clone(),
            None if options.url.is_some() => Cores::all()?,
            None => Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        interrupt::listen(&runtime)?;
        Ok(Self { name, options, cores, client_cores, runtime, began: Timestamp::now() })
    }

    /// The cores of the server, or of a baseline in its place; empty if nothing is pinned.
    pub fn server_cores(&self) -> &[usize] {
        self.cores.as_ref().map_or(&[], |cores| &cores.server)
    }

    /// How many cores the server has.
    pub fn server_core_count(&self) -> usize {
        match self.server_cores().len() {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        }
    }

    /// The rounds of each side; after a signal no further one begins.
    pub fn rounds(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.options.rounds).take_while(|round| *round == 0 || !interrupt::interrupted())
    }

    /// The measured time, or the default of the scenario.
    pub fn duration(&self, seconds: u64) -> Duration {
        self.options.duration.unwrap_or(Duration::from_secs(seconds))
    }

    /// The server of `--url`, or one of the kit's own with so many accounts, all of them signed in.
    ///
    /// # Errors
    /// When it does not start.
    pub fn target(&self, users: u64, settings: &[(&'static str, &str)]) -> Outcome<Target> {
        match (&self.options.url, &self.options.tokens) {
            (Some(url), Some(tokens)) => Target::at(url, tokens, self.options.users),
            _ => self.own(self.options.users.unwrap_or(users), self.options.sessions, settings),
        }
    }

    /// A server of the kit's own.
    ///
    /// # Errors
    /// When it does not start.
    pub fn own(&self, users: u64, sessions: Sessions, settings: &[(&'static str, &str)]) -> Outcome<Target> {
        if self.options.url.is_some() {
            return Err(format!("{} measures only a server that the kit starts", self.name).into());
        }
        let (options, runtime) = (&self.options, &self.runtime);
        Start { options, sessions, cores: self.cores.as_ref(), runtime, users, settings }.own()
    }

    /// The load of the command line: open at `--rate`, else closed with `connections`.
    pub fn load(&self, connections: usize) -> Load {
        match self.options.rate {
            Some(rate) => self.open(rate),
            None => Load::Closed { connections: self.options.connections.unwrap_or(connections) },
        }
    }

    /// Open arrivals at `rate`.
    pub fn open(&self, rate: f64) -> Load {
        let connections = self.options.connections.unwrap_or(1_000);
        Load::Open { rate, spacing: self.options.arrivals, connections }
    }

    /// Sends one request for each of these users, so many at a time; each must be answered with 200.
    ///
    /// # Errors
    /// The first answer that is not.
    pub fn once(
        &self,
        target: &Target,
        users: Range<usize>,
        at_a_time: usize,
        make: impl Fn(&Endpoint, &User, &mut Vec<u8>),
    ) -> Outcome<()> {
        let next = Cell::new(users.start);
        let worker = async || {
            let (mut connection, mut request) = (None, Vec::new());
            while next.get() < users.end {
                let user = &target.users[next.replace(next.get() + 1)];
                request.clear();
                make(&target.endpoint, user, &mut request);
                let mut open = match connection.take() {
                    Some(connection) => connection,
                    None => Connection::open(&target.endpoint).await.map_err(|failure| failure.kind())?,
                };
                let status = open.call(&request).await.map_err(|failure| failure.kind())?;
                if status != 200 {
                    return Err(format!("a request before the load was answered with {status}"));
                }
                connection = (!open.closes()).then_some(open);
            }
            Ok(())
        };
        self.runtime.block_on(try_join_all((0..at_a_time).map(|_| worker())))?;
        Ok(())
    }

    /// Runs streams against the target.
    ///
    /// # Errors
    /// When the server ends meanwhile.
    pub fn measure(&self, name: &str, target: &Target, streams: Vec<Stream>, length: Duration) -> Outcome<Measured> {
        let measured = self.measure_at(name, target.endpoint.clone(), target.process(), streams, length);
        // The server's log goes with its folder.
        let ended = || target.process().is_some_and(|process| proc::sample(process).is_err());
        Ok(measured.map_err(|error| match target.last_words().filter(|_| ended()) {
            Some(log) => format!("{error}; its log ends with: {log}"),
            None => error.to_string(),
        })?)
    }

    /// Runs streams against a server by its address, for example a baseline.
    ///
    /// # Errors
    /// When it ends meanwhile.
    pub fn measure_at(
        &self,
        name: &str,
        endpoint: Endpoint,
        process: Option<u32>,
        streams: Vec<Stream>,
        length: Duration,
    ) -> Outcome<Measured> {
        engine::run(&Plan {
            name: name.to_owned(),
            endpoint,
            streams,
            warm_up: self.options.warm_up,
            length,
            cores: self.client_cores.clone(),
            process,
            shown: true,
        })
    }

    /// The results of a run, without baselines.
    pub fn results(&self, target: &Target, load: Load, measured: &Measured) -> Run {
        let recording = &measured.recording;
        let (rate, arrivals, connections) = match load {
            Load::Open { rate, spacing, connections } => (rate, spacing.into(), connections),
            Load::Closed { connections } => (0.0, Arrivals::Closed, connections),
        };
        let mut notes = vec![format!(
            "the warm-up of {} s at the same load is not counted; the client's busiest core was {:.0}% busy",
            self.options.warm_up.as_secs_f64(),
            measured.client_busy * 100.0
        )];
        // Of a closed loop on the kit's own server each ratio says it.
        let doubtful = match load {
            Load::Open { .. } => Some("latencies"),
            Load::Closed { .. } if target.own.is_none() => Some("rate"),
            Load::Closed { .. } => None,
        };
        if let Some(doubtful) = doubtful.filter(|_| measured.client_busy > BUSY) {
            notes.push(format!("the client's core was so busy that the {doubtful} may be its own"));
        }
        if matches!(load, Load::Closed { .. }) {
            notes.push(format!(
                "closed loop: each of the {connections} connections waits for its answer, so the rate is what the \
                 server did, and latency counts from sending"
            ));
        }
        let (mut corrected, mut uncorrected) = (Vec::new(), Vec::new());
        let mut all = recording.operations.iter();
        if let Some(first) = all.next() {
            let (mut from_due, mut from_sending) = (first.corrected.clone(), first.uncorrected.clone());
            for operation in all {
                // Histograms that resize themselves take every value.
                let _ = from_due.add(&operation.corrected);
                let _ = from_sending.add(&operation.uncorrected);
            }
            if arrivals != Arrivals::Closed {
                corrected = Latency::points(from_due.len(), |quantile| from_due.value_at_quantile(quantile));
            }
            uncorrected = Latency::points(from_sending.len(), |quantile| from_sending.value_at_quantile(quantile));
        }
        let operation = |operation: &engine::recording::Operation| Operation {
            name: operation.name.to_owned(),
            sent: operation.sent,
            good: operation.good,
            in_time: operation.in_time,
            latency: spread(&operation.corrected),
        };
        Run {
            target: target.text.clone(),
            settings: Settings {
                rate,
                duration_s: measured.length.as_secs_f64(),
                users: target.users.len() as u64,
                connections: connections as u64,
                arrivals,
            },
            totals: recording.totals,
            seconds: seconds(measured),
            latency: Latency { corrected, uncorrected },
            operations: recording.operations.iter().map(operation).collect(),
            errors: recording.errors.clone(),
            notes,
            ..self.unmeasured("")
        }
    }

    /// The results of a run that has figures but no load of the engine.
    pub fn unmeasured(&self, what: &str) -> Run {
        Run {
            scenario: self.name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began: self.began,
            target: results::Target::Own(what.to_owned()),
            machine: proc::machine(Cores::text(self.cores.as_ref())),
            settings: Settings { rate: 0.0, duration_s: 0.0, users: 0, connections: 0, arrivals: Arrivals::Constant },
            totals: Totals::default(),
            seconds: Vec::new(),
            latency: Latency::default(),
            operations: Vec::new(),
            errors: BTreeMap::new(),
            thresholds: Vec::new(),
            baselines: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Compares the thresholds, prints the results, and writes the files. Returns whether all thresholds were met.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(&self, mut run: Run) -> Outcome<bool> {
        let asked = self.options.thresholds.iter().map(|condition| condition.of(&run)).collect::<Vec<_>>();
        run.thresholds.extend(asked);
        if interrupt::interrupted() {
            run.thresholds.push(not_met("measured to the end", "until a signal came"));
        }
        if run.totals.planned > 0 && run.totals.good == 0 {
            run.thresholds.push(not_met("good answers", "none"));
        }
        if cfg!(debug_assertions) {
            run.notes.push("a debug build, which is many times slower than a release".to_owned());
        }
        let text = summary::text(&run);
        // Who reads the JSON from standard output reads nothing else there.
        if self.options.json.as_deref() == Some(Path::new("-")) {
            eprint!("{text}")
        } else {
            print!("{text}")
        }
        if let Some(file) = &self.options.json {
            report::json::write(&run, file)?;
        }
        if let Some(file) = &self.options.html {
            report::write_html(&run, file)?;
        }
        for failed in run.thresholds.iter().filter(|threshold| !threshold.passed) {
            eprintln!("threshold failed: {} (measured: {})", failed.condition, failed.measured);
        }
        Ok(run.passed())
    }
}

/// A condition that every run of a scenario must meet, and that this one did not.
pub fn not_met(condition: &str, measured: &str) -> Threshold {
    Threshold { condition: condition.to_owned(), measured: measured.to_owned(), passed: false }
}

/// Without gaps, and with the server's CPU time and memory.
fn seconds(measured: &Measured) -> Vec<Second> {
    let mut seconds = measured.recording.seconds();
    seconds.resize(measured.samples.len().max(seconds.len()), Second::default());
    for (second, sample) in seconds.iter_mut().zip(&measured.samples) {
        second.server_cpu_cores = sample.map(|sample| sample.cpu.as_secs_f64());
        second.server_rss_bytes = sample.map(|sample| sample.rss_bytes);
    }
    seconds
}

/// As many open files as the system allows: each connection is one.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}
