//! Two runs side by side, as text: `portcullis-load compare BEFORE.json AFTER.json`.

use crate::figures::{bytes, latency, number, percent};
use crate::results::{Run, Target};
use std::fmt::Write as _;

/// A table with a row per figure that both runs have. What makes them not comparable stands above it.
pub fn compare(before: &Run, after: &Run) -> String {
    let mut text = String::new();
    for difference in differences(before, after) {
        let _ = writeln!(text, "different {difference}");
    }
    let mut rows = vec![["".to_owned(), "before".to_owned(), "after".to_owned(), "after ÷ before".to_owned()]];
    let mut row = |name: String, value: &dyn Fn(&Run) -> Option<f64>, shown: &dyn Fn(f64) -> String| {
        let (Some(old), Some(new)) = (value(before), value(after)) else { return };
        let ratio = if old > 0.0 { format!("{:.2}", new / old) } else { "–".to_owned() };
        rows.push([name, shown(old), shown(new), ratio]);
    };
    let time = |us: f64| latency(us.round() as u64);
    row("good answers per second".to_owned(), &|run| Some(run.rate()), &number);
    for p in [50.0, 99.0, 99.9, 100.0] {
        let name = if p < 100.0 { format!("p{p}") } else { "max".to_owned() };
        row(name, &|run| run.latency.shown_at(p).map(|us| us as f64), &time);
    }
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let shown = |share: f64| percent((share * 1e9) as u64, 1_000_000_000);
    row("errors".to_owned(), &|run| share(run.totals.errors, run.totals.sent), &shown);
    row("dropped".to_owned(), &|run| share(run.totals.dropped, run.totals.planned), &shown);
    row("server CPU per good answer".to_owned(), &cpu_us, &|us| format!("{} µs", number(us)));
    let memory = |run: &Run| run.seconds.iter().filter_map(|second| second.server_rss_bytes).max();
    row("server memory at most".to_owned(), &|run| memory(run).map(|rss| rss as f64), &|rss| bytes(rss as u64));
    for operation in &before.operations {
        let most = |run: &Run| {
            let found = run.operations.iter().find(|other| other.name == operation.name)?;
            Some(found.latency?.p99_us as f64)
        };
        row(format!("{} p99", operation.name), &most, &time);
    }
    for baseline in &before.baselines {
        let same = |run: &Run| {
            run.baselines
                .iter()
                .find(|other| (&other.name, &other.beside) == (&baseline.name, &baseline.beside))
                .cloned()
        };
        let name = |name: &str| format!("{name} ({})", baseline.unit);
        row(baseline.title(), &|run| same(run)?.ratio, &|ratio| format!("{ratio:.2}"));
        // A machine shows in these, and a ratio says more; but not every figure has one.
        if baseline.ratio.is_none() {
            row(name(&baseline.name), &|run| Some(same(run)?.measured), &number);
        }
    }
    text + &table(&rows)
}

fn cpu_us(run: &Run) -> Option<f64> {
    let cores: Vec<f64> = run.seconds.iter().filter_map(|second| second.server_cpu_cores).collect();
    let good: u64 =
        run.seconds.iter().filter(|second| second.server_cpu_cores.is_some()).map(|second| second.good).sum();
    (good > 0).then(|| cores.iter().sum::<f64>() * 1e6 / good as f64)
}

/// What is not the same, so that a reader does not compare what cannot be compared.
fn differences(before: &Run, after: &Run) -> Vec<String> {
    let target = |run: &Run| match &run.target {
        Target::Own(text) | Target::Url(text) => text.clone(),
    };
    let machine = |run: &Run| {
        let machine = &run.machine;
        let pinning = if machine.pinning.is_empty() { "not pinned" } else { &machine.pinning };
        format!("{} cores, {}, {pinning}", machine.cores, machine.model)
    };
    let load = |run: &Run| {
        let settings = &run.settings;
        format!(
            "{} per second for {} s, {:?} arrivals, {} users, {} connections",
            settings.rate, settings.duration_s, settings.arrivals, settings.users, settings.connections
        )
    };
    let all = |run: &Run| {
        [
            ("scenarios", run.scenario.clone()),
            ("servers", target(run)),
            ("machines", machine(run)),
            ("settings", load(run)),
        ]
    };
    let both = all(before).into_iter().zip(all(after)).filter(|(old, new)| old != new);
    both.map(|((what, old), (_, new))| format!("{what}: {old} | {new}")).collect()
}

/// The first column to the left, the others to the right.
fn table(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for [name, before, after, ratio] in rows {
        let [first, second, third, fourth] = widths;
        let _ = writeln!(text, "{name:<first$}  {before:>second$}  {after:>third$}  {ratio:>fourth$}");
    }
    text
}
