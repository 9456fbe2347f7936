//! The names, units and labels of all metrics, by Prometheus' conventions (<https://prometheus.io/docs/practices/naming>).
//!
//! Labels have few values, which the program knows when it starts: no label is taken from a request. A series exists from
//! the first scrape on, with zero, so that `rate()` sees its first event. Only requests of pages, by HEAD, OPTIONS and
//! methods that a route does not have are shown after the first one: they would be most of the series, and are rare.

use super::sources::{Reading, WorkerReading};
use crate::http::Route;
use crate::http::metrics::{HttpMetrics, METHODS, STATUSES};
use portcullis_actors::error::Dependency;
use portcullis_actors::metrics::{BOUNDS, Distribution, StoreMetrics};
use portcullis_actors::notifier::BreakerState;
use portcullis_actors::stores::Channel;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;

/// The text that Prometheus reads.
pub(super) fn text(reading: Reading) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(reading));
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.process(&mut page)?;
        self.requests(&mut page)?;
        self.work(&mut page)?;
        self.sign_ins(&mut page)?;
        self.limits(&mut page)?;
        self.hashing(&mut page)?;
        self.stores(&mut page)?;
        self.deliveries(&mut page)?;
        self.connections(&mut page)?;
        self.spans(&mut page)
    }
}

impl Reading {
    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let (version, commit) = env!("BUILD_VERSION").split_once(" (").unwrap_or((env!("BUILD_VERSION"), ""));
        let labels = [("version", version), ("commit", commit.trim_end_matches(')'))];
        let mut info =
            page.0.encode_descriptor("portcullis_build", "Which program this is.", None, MetricType::Info)?;
        info.encode_info(&labels)?;
        let started = self.started.millis() as f64 / 1000.0;
        page.gauge("process_start_time_seconds", "When the server started, in seconds since 1970.", started)?;
        let Some(usage) = self.usage else { return Ok(()) };
        let mut cpu = page.family("process_cpu_seconds", "CPU time of all threads.", MetricType::Counter)?;
        cpu.encode_counter::<NoLabelSet, f64, f64>(&usage.cpu.as_secs_f64(), None)?;
        page.gauge("process_resident_memory_bytes", "Memory that is in RAM.", usage.resident_bytes)
    }

    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let routes = || Route::ALL.iter().map(|route| Some(*route)).chain([None]);
        let pattern = |route: Option<Route>| route.map_or("unmatched", Route::pattern);
        let cells = || routes().flat_map(|route| (0..METHODS.len()).map(move |method| (route, method)));
        let answers = |route, method: usize, status: usize| {
            self.sum(|worker| worker.http.of(route)[method].answers[status].get())
        };
        let shown = |route, method| {
            HttpMetrics::is_expected(route, METHODS[method])
                || (0..STATUSES.len()).any(|at| answers(route, method, at) > 0)
        };
        let name = "portcullis_http_requests";
        let mut family = page.family(name, "Requests that were answered.", MetricType::Counter)?;
        for (route, method) in cells().filter(|(route, method)| shown(*route, *method)) {
            for (at, status) in STATUSES.into_iter().enumerate() {
                let labels = [("route", pattern(route)), ("method", METHODS[method]), ("status", status)];
                counter(&mut family, &labels, answers(route, method, at))?;
            }
        }
        let name = "portcullis_http_request_duration_seconds";
        let mut family =
            page.family(name, "From the head of a request to the head of its answer.", MetricType::Histogram)?;
        for (route, method) in cells().filter(|(route, method)| shown(*route, *method)) {
            let mut durations = Distribution::default();
            self.workers.iter().for_each(|worker| durations.add(&worker.http.of(route)[method].durations.read()));
            histogram(&mut family, &[("route", pattern(route)), ("method", METHODS[method])], &durations)?;
        }
        let checks = [
            ("hit", self.sum(|worker| worker.checks.hits.get())),
            ("miss", self.sum(|worker| worker.checks.misses.get())),
            ("refused", self.sum(|worker| worker.checks.refused.get())),
        ];
        let help = "Look-ups of a user token: answered by the cache (hit), by the token store (miss), or refused without \
                    asking because the token is forged (refused).";
        page.counters("portcullis_checks", help, "result", checks)
    }

    fn work(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "Requests that actors work on. Their number is limited by server.costly_requests and \
                    server.ordinary_requests.";
        let running = self.work.iter().map(|work| (work.weight, work.running));
        page.gauges("portcullis_requests_running", help, "weight", running)?;
        let limits = self.work.iter().map(|work| (work.weight, work.limit));
        page.gauges("portcullis_requests_running_limit", "How many may run.", "weight", limits)?;
        let help = "Requests that were answered 503: too many were running (limit), or the actor did not answer within \
                    server.deadline_secs (deadline).";
        let mut family = page.family("portcullis_requests_refused", help, MetricType::Counter)?;
        for work in &self.work {
            for (reason, count) in [("limit", work.refused), ("deadline", work.late)] {
                counter(&mut family, &[("weight", work.weight), ("reason", reason)], count)?;
            }
        }
        Ok(())
    }

    fn sign_ins(&self, page: &mut Page<'_>) -> fmt::Result {
        let sign_ins = [
            ("signed_in", self.sum(|worker| worker.session.signed_in)),
            ("refused", self.sum(|worker| worker.session.refused)),
            ("failed", self.sum(|worker| worker.session.failed)),
        ];
        page.counters("portcullis_sign_ins", "Sign-ins whose password was compared.", "result", sign_ins)?;
        let codes = [
            ("issued", self.sum(|worker| worker.verification.codes_issued)),
            ("verified", self.sum(|worker| worker.verification.phones_verified)),
        ];
        let help = "Phone codes that were queued, and those that were typed back. Many of the first and few of the second: \
                    somebody makes money with SMS.";
        page.counters("portcullis_phone_codes", help, "step", codes)?;
        let resets = [
            ("issued", self.sum(|worker| worker.verification.resets_issued)),
            ("finished", self.sum(|worker| worker.verification.resets_finished)),
        ];
        page.counters(
            "portcullis_resets",
            "Reset mails that were queued, and passwords set by their links.",
            "step",
            resets,
        )?;
        let help = "Passwords that users changed with the old one.";
        page.counter("portcullis_passwords_changed", help, self.sum(|worker| worker.account.passwords_changed))?;
        let help = "Push registrations that were made or refreshed.";
        page.counter("portcullis_devices_registered", help, self.sum(|worker| worker.account.devices_registered))?;
        let flows = [
            ("session", self.sum(|worker| worker.session.running)),
            ("verification", self.sum(|worker| worker.verification.running)),
            ("account", self.sum(|worker| worker.account.running)),
        ];
        page.gauges("portcullis_actor_flows", "Messages that actors are working on.", "actor", flows)
    }

    fn limits(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut verdicts: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for (limit, of_limit) in self.workers.iter().flat_map(|worker| worker.limits.scopes()) {
            let sum = verdicts.entry(limit).or_default();
            sum[0] += of_limit.allowed.get();
            sum[1] += of_limit.refused.get();
        }
        // These two are kept with the code itself, and a code that is sent or compared passes them.
        let (early, used_up) = (
            self.sum(|worker| worker.verification.resends_too_early),
            self.sum(|worker| worker.verification.guesses_used_up),
        );
        let codes = [self.sum(|worker| worker.verification.codes_issued), early];
        let guesses = [self.sum(|worker| worker.verification.guesses_compared), used_up];
        verdicts.extend([("sms-resend", codes), ("phone-guesses", guesses)]);
        let help = "Verdicts of the budgets and waits. A step that passes several of them counts in each.";
        let mut family = page.family("portcullis_limit_verdicts", help, MetricType::Counter)?;
        for (limit, [allowed, refused]) in verdicts {
            counter(&mut family, &[("limit", limit), ("verdict", "allowed")], allowed)?;
            counter(&mut family, &[("limit", limit), ("verdict", "refused")], refused)?;
        }
        Ok(())
    }

    fn hashing(&self, page: &mut Page<'_>) -> fmt::Result {
        let hashing = &self.hashing;
        let (reserved, queued, running) = (hashing.reserved as u64, hashing.queued as u64, hashing.running as u64);
        let help = "Places in the hashing queue: reserved by a sign-in that reads its account, queued, or running.";
        let states = [("reserved", reserved), ("queued", queued), ("running", running)];
        page.gauges("portcullis_hashing_queue_places", help, "state", states)?;
        let help = "Ended hashing jobs: done, refused because they would have waited too long, skipped because the client \
                    had gone, or failed.";
        let ends = [
            ("done", hashing.done),
            ("refused", hashing.shed),
            ("skipped", hashing.skipped),
            ("failed", hashing.failed),
        ];
        page.counters("portcullis_hashing_jobs", help, "outcome", ends)?;
        let help = "How long jobs have waited for a thread.";
        let mut family = page.family("portcullis_hashing_wait_seconds", help, MetricType::Histogram)?;
        histogram(&mut family, &[], &hashing.waits)?;
        let help = "Moving average of the time of a job on its thread.";
        page.gauge("portcullis_hashing_job_average_seconds", help, hashing.average_ms / 1000.0)
    }

    fn stores(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "Calls to a store with the wait for a connection, without the tests whether Redis is alive and a \
                    primary. timeout: no answer in time; unavailable: an error.";
        let mut family = page.family("portcullis_store_call_duration_seconds", help, MetricType::Histogram)?;
        for (store, metrics) in [(Dependency::Database, &self.database), (Dependency::TokenStore, &self.tokens)] {
            let (store, StoreMetrics { ok, timeout, unavailable }) = (store.to_string(), &**metrics);
            for (outcome, calls) in [("ok", ok), ("timeout", timeout), ("unavailable", unavailable)] {
                histogram(&mut family, &[("store", &store), ("outcome", outcome)], &calls.read())?;
            }
        }
        let help = "1 if the store took what this node wrote to it last, which it does every ten seconds. 0: it does not \
                    answer, is read-only, is full, or somebody holds a lock.";
        let mut family = page.family("portcullis_store_writable", help, MetricType::Gauge)?;
        for (store, is_writable) in self.writable {
            let store = store.to_string();
            family.encode_family(&[("store", store.as_str())])?.encode_gauge(&u64::from(is_writable))?;
        }
        let help = "How far the clock of a store is ahead of the clock of this node; negative if it is behind, 0 if the store \
                    is a file.";
        let skews = [(Dependency::Database, &self.clocks.database), (Dependency::TokenStore, &self.clocks.tokens)];
        let skews = skews.map(|(store, skew)| (store.to_string(), skew.get() as f64 / 1000.0));
        let skews = skews.iter().map(|(store, skew)| (store.as_str(), *skew));
        page.gauges("portcullis_clock_skew_seconds", help, "store", skews)
    }

    fn deliveries(&self, page: &mut Page<'_>) -> fmt::Result {
        let delivery = &self.delivery;
        let backlogs = || delivery.backlogs.iter();
        let help = "Messages that wait or are being sent, on all nodes; counted up to 100,000.";
        let pending = backlogs().map(|backlog| (backlog.channel.as_str(), backlog.pending));
        page.gauges("portcullis_outbox_pending_messages", help, "channel", pending)?;
        let help = "Age of the oldest message that waits or is being sent, on all nodes; 0 if there is none.";
        let ages = backlogs().map(|backlog| (backlog.channel.as_str(), backlog.oldest_age.as_secs_f64()));
        page.gauges("portcullis_outbox_oldest_age_seconds", help, "channel", ages)?;
        if let Some(dead) = delivery.dead_on_record {
            let help = "Messages on record that will not be sent, on all nodes; counted up to 100,000.";
            page.gauge("portcullis_outbox_dead_messages", help, dead)?;
        }
        page.gauge("portcullis_deliveries_running", "Deliveries of this node that run now.", delivery.running)?;
        let help = "What became of a delivery: accepted by the provider (delivered), to be tried again, given up, or too \
                    late. The provider none: no provider was tried. If a report of the carrier ends a message, it counts as \
                    dead too.";
        let mut family = page.family("portcullis_deliveries", help, MetricType::Counter)?;
        let tried = delivery.providers.iter().map(|of| (of.channel.as_str(), of.name.as_str(), &of.ends));
        for (channel, provider, ends) in tried.chain([("none", "none", &delivery.untried)]) {
            for (outcome, count) in ends {
                let labels = [("channel", channel), ("provider", provider), ("outcome", outcome)];
                counter(&mut family, &labels, *count)?;
            }
        }
        let help = "Reports of SMS providers about messages that they had accepted.";
        let mut family = page.family("portcullis_delivery_reports", help, MetricType::Counter)?;
        for of in delivery.providers.iter().filter(|of| of.channel == Channel::Sms) {
            for (status, count) in &of.reports {
                let labels = [("channel", of.channel.as_str()), ("provider", of.name.as_str()), ("status", status)];
                counter(&mut family, &labels, *count)?;
            }
        }
        let help = "Tries of this node at a provider. accepted is what a provider charges for.";
        let mut family = page.family("portcullis_delivery_try_duration_seconds", help, MetricType::Histogram)?;
        for provider in &delivery.providers {
            for (outcome, tries) in &provider.tries {
                let (channel, name) = (provider.channel.as_str(), provider.name.as_str());
                histogram(&mut family, &[("channel", channel), ("provider", name), ("outcome", outcome)], tries)?;
            }
        }
        let help = "1 for the state that the circuit breaker of a provider is in.";
        let mut family = page.family("portcullis_provider_breaker_state", help, MetricType::Gauge)?;
        for provider in &delivery.providers {
            for (state, name) in
                [(BreakerState::Closed, "closed"), (BreakerState::Open, "open"), (BreakerState::HalfOpen, "half_open")]
            {
                let (channel, of) = (provider.channel.as_str(), provider.name.as_str());
                let labels = [("channel", channel), ("provider", of), ("state", name)];
                family.encode_family(&labels)?.encode_gauge(&u64::from(provider.breaker == state))?;
            }
        }
        Ok(())
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let connections = &*self.connections;
        // Read in this order, a connection that opens meanwhile cannot make the difference negative.
        let closed = connections.closed.get();
        let accepted = connections.accepted.get();
        page.gauge("portcullis_connections_open", "Connections of clients.", accepted.saturating_sub(closed))?;
        page.counter("portcullis_connections_accepted", "Connections that were accepted.", accepted)?;
        let help = "Connections that were refused or closed: over one of the limits, the head of a request was late, too \
                    large or no HTTP, or the client did not read its answer (answer_timeout).";
        let refused = [
            ("max_connections", connections.refused_total.get()),
            ("connections_per_address", connections.refused_address.get()),
            ("head_timeout", connections.head_timeout.get()),
            ("head_too_large", connections.head_too_large.get()),
            ("malformed", connections.malformed.get()),
            ("answer_timeout", connections.answer_timeout.get()),
        ];
        page.counters("portcullis_connections_refused", help, "reason", refused)
    }

    fn spans(&self, page: &mut Page<'_>) -> fmt::Result {
        let spans = [
            ("sent", self.spans.sent.get()),
            ("failed", self.spans.failed.get()),
            ("queue_full", self.spans.queue_full.get()),
        ];
        let help = "Finished spans of traces: sent to the collector, refused by it or not answered (failed), or dropped \
                    because too many were waiting (queue_full).";
        page.counters("portcullis_trace_spans", help, "outcome", spans)
    }

    fn sum(&self, of: impl Fn(&WorkerReading) -> u64) -> u64 {
        self.workers.iter().map(of).sum()
    }
}

type Labels<'a> = &'a [(&'a str, &'a str)];

/// What is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// Begins a metric. The name of a counter is without `_total`, which the encoder adds.
    fn family<'s>(&'s mut self, name: &'s str, help: &str, kind: MetricType) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        counter(&mut self.family(name, help, MetricType::Counter)?, &[], value)
    }

    /// A series for each value of one label.
    fn counters<const N: usize>(&mut self, name: &str, help: &str, label: &str, all: [(&str, u64); N]) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        all.into_iter().try_for_each(|(name, value)| counter(&mut family, &[(label, name)], value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A series for each value of one label.
    fn gauges<'v, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        all: impl IntoIterator<Item = (&'v str, V)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        for (name, value) in all {
            family.encode_family(&[(label, name)])?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

fn counter(family: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn histogram(family: &mut MetricEncoder<'_>, labels: Labels<'_>, durations: &Distribution) -> fmt::Result {
    let buckets: Vec<(f64, u64)> = BOUNDS.iter().map(|bound| bound.as_secs_f64()).zip(durations.buckets).collect();
    let (sum, count) = (durations.sum.as_secs_f64(), durations.count());
    family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
