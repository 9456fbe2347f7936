//! One run of a scenario: starts the target, measures, and turns what was measured into results.

use crate::engine::client::Endpoint;
use crate::engine::recording::spread;
use crate::engine::{self, Load, Measured, Pace, Plan, Stream};
use crate::measure::{Outcome, median};
use crate::options::{Options, Sessions};
use crate::pinning::{self, Cores};
use crate::proc;
use crate::report;
use crate::results::{self, Arrivals, Baseline, Latency, Operation, Run, Second, Settings, Totals};
use crate::summary;
use crate::target::{Start, Target};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A server that takes its core whole is the limit, however busy the client is.
const SATURATED: f64 = 0.95;
/// A client that is busier than this may be the limit.
const BUSY: f64 = 0.85;

/// What a scenario works with.
pub struct Kit {
    pub name: &'static str,
    pub options: Options,
    /// None on a machine with one core, and for a server elsewhere.
    pub cores: Option<Cores>,
    /// For what is started beside the client: Redis, PostgreSQL, sinks.
    pub runtime: Runtime,
    began: Timestamp,
}

impl Kit {
    /// Pins this thread, and with it all that it starts, to the client's cores.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(name: &'static str, options: Options) -> Outcome<Self> {
        let cores = if options.url.is_some() { None } else { Cores::split()? };
        if let Some(cores) = &cores {
            pinning::pin(&cores.client)?;
        }
        raise_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { name, options, cores, runtime, began: Timestamp::now() })
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
        Load::Open { rate, arrivals: self.options.arrivals.into(), connections }
    }

    /// Runs streams against the target.
    ///
    /// # Errors
    /// When the server ends meanwhile.
    pub fn measure(&self, name: &str, target: &Target, streams: Vec<Stream>, length: Duration) -> Outcome<Measured> {
        self.measure_at(name, target.endpoint.clone(), target.process(), streams, length)
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
            cores: self.cores.as_ref().map_or_else(Vec::new, |cores| cores.client.clone()),
            process,
            shown: true,
        })
    }

    /// Why the client and not the server was the limit of a saturation run, if so.
    fn client_bound(&self, pace: &Pace) -> Option<String> {
        let server = pace.server_busy / self.server_core_count() as f64;
        let bound = pace.client_busy > BUSY && server < SATURATED;
        bound.then(|| {
            format!(
                "client-bound: the client's core was {:.0}% busy and the server's {:.0}%, so the rate is the client's",
                pace.client_busy * 100.0,
                server * 100.0
            )
        })
    }

    /// Measures two sides in turns, so that a slower minute of the machine is one of both.
    ///
    /// # Errors
    /// Those of a side.
    pub fn in_turns(
        &self,
        mut ours: impl FnMut() -> Outcome<Measured>,
        mut bare: impl FnMut() -> Outcome<Pace>,
    ) -> Outcome<Turns> {
        let (mut rounds, mut all) = (Vec::new(), None::<Measured>);
        for _ in 0..self.options.rounds {
            let bare = bare()?;
            let round = ours()?;
            rounds.push((round.pace(), bare));
            match &mut all {
                Some(all) => all.follow(round),
                None => all = Some(round),
            }
        }
        Ok(Turns { ours: all.ok_or("no rounds")?, rounds })
    }

    /// The ratio of two sides that were measured in turns: the median of the rounds. Without a ratio, and with a note, when
    /// the client was the limit.
    pub fn ratio(&self, names: [&str; 2], aim: Option<f64>, turns: &Turns) -> (Baseline, Vec<String>) {
        let rates: Vec<_> = turns.rounds.iter().map(|(ours, bare)| (ours.rate, bare.rate)).collect();
        let mut baseline = rates_beside(names, aim, &rates);
        let both = turns.rounds.iter().flat_map(|(ours, bare)| [ours, bare]);
        let mut notes: Vec<String> = both.filter_map(|side| self.client_bound(side)).take(1).collect();
        if !notes.is_empty() {
            baseline.ratio = None;
        }
        let cpu = |pick: fn(&(Pace, Pace)) -> f64| median(turns.rounds.iter().map(pick)) * 1e6;
        let (ours, bare) = (cpu(|round| round.0.cpu_each), cpu(|round| round.1.cpu_each));
        if ours.is_finite() && bare.is_finite() {
            notes.push(format!("CPU time per request: {} {ours:.2} µs, {} {bare:.2} µs", names[0], names[1]));
        }
        (baseline, notes)
    }

    /// The results of a run, without baselines.
    pub fn results(&self, target: &Target, load: Load, measured: &Measured) -> Run {
        let recording = &measured.recording;
        let (rate, arrivals, connections) = match load {
            Load::Open { rate, arrivals, connections } => (rate, arrivals, connections),
            Load::Closed { connections } => (measured.rate(), Arrivals::Constant, connections),
        };
        let mut notes = vec![format!(
            "the warm-up of {} s at the same load is not counted; the busiest client thread used {:.0}% of its core",
            self.options.warm_up.as_secs_f64(),
            measured.client_busy * 100.0
        )];
        if matches!(load, Load::Closed { .. }) {
            notes.push(format!(
                "closed loop: each of the {connections} connections waits for its answer, so the rate is what the \
                 server did, and latency is not corrected"
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
            corrected = Latency::points(from_due.len(), |quantile| from_due.value_at_quantile(quantile));
            uncorrected = Latency::points(from_sending.len(), |quantile| from_sending.value_at_quantile(quantile));
        }
        let operation = |operation: &engine::recording::Operation| Operation {
            name: operation.name.to_owned(),
            sent: operation.sent,
            good: operation.good,
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
        run.thresholds = self.options.thresholds.iter().map(|condition| condition.of(&run)).collect();
        print!("{}", summary::text(&run));
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

/// Two sides that were measured in turns.
pub struct Turns {
    /// All rounds of the first side.
    pub ours: Measured,
    /// Each round of both.
    pub rounds: Vec<(Pace, Pace)>,
}

/// A baseline of rates per second, measured in turns.
pub fn rates_beside(names: [&str; 2], aim: Option<f64>, rounds: &[(f64, f64)]) -> Baseline {
    Baseline {
        name: names[0].to_owned(),
        beside: names[1].to_owned(),
        unit: summary::PER_SECOND.to_owned(),
        measured: median(rounds.iter().map(|(ours, _)| *ours)),
        baseline: median(rounds.iter().map(|(_, bare)| *bare)),
        ratio: Some(median(rounds.iter().map(|(ours, bare)| ours / bare))).filter(|ratio| ratio.is_finite()),
        aim,
    }
}

/// A figure that stands beside nothing; its name says what it may be at most.
pub fn figure(name: &str, unit: &str, measured: f64) -> Baseline {
    compared([name, ""], unit, measured, 0.0)
}

/// A figure that stands beside another of the same unit, and is no ratio.
pub fn compared(names: [&str; 2], unit: &str, measured: f64, baseline: f64) -> Baseline {
    let [name, beside] = names.map(str::to_owned);
    Baseline { name, beside, unit: unit.to_owned(), measured, baseline, ratio: None, aim: None }
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
