//! A run in a few lines, for the terminal, and the baselines of several as a Markdown table.

use crate::figures::{count, latency, number, percent};
use crate::results::{Baseline, PER_SECOND, Run, Target};
use std::fmt::Write as _;

/// What the terminal shows at the end of a run.
pub fn text(run: &Run) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, run);
    text
}

fn write(text: &mut String, run: &Run) -> std::fmt::Result {
    let target = match &run.target {
        Target::Own(text) | Target::Url(text) => text,
    };
    let (totals, seconds) = (&run.totals, run.settings.duration_s);
    writeln!(text, "{}: {target}, {} users", run.scenario, count(run.settings.users))?;
    if !run.machine.pinning.is_empty() {
        writeln!(text, "pinned: {}", run.machine.pinning)?;
    }
    if totals.planned > 0 {
        writeln!(
            text,
            "{} s: {} planned, {} sent, {} good ({}/s), {} errors ({}), {} dropped ({})",
            number(seconds),
            count(totals.planned),
            count(totals.sent),
            count(totals.good),
            number(run.rate()),
            count(totals.errors),
            percent(totals.errors, totals.sent),
            count(totals.dropped),
            percent(totals.dropped, totals.planned)
        )?;
    }
    if totals.resent > 0 {
        writeln!(text, "{} were sent again: the server had closed the idle connection", count(totals.resent))?;
    }
    if !run.latency.uncorrected.is_empty() {
        let points = |at: &dyn Fn(f64) -> Option<u64>| {
            [(50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9"), (100.0, "max")]
                .into_iter()
                .filter_map(|(p, name)| Some(format!("{name} {}", latency(at(p)?))))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if !run.latency.corrected.is_empty() {
            writeln!(text, "good answers, from the intended start: {}", points(&|p| run.latency.corrected_at(p)))?;
        }
        writeln!(text, "good answers, from sending:            {}", points(&|p| run.latency.uncorrected_at(p)))?;
    }
    if run.operations.len() > 1 {
        for operation in &run.operations {
            write!(
                text,
                "  {:<18} {:>9} sent, {:>9} good",
                operation.name,
                count(operation.sent),
                count(operation.good)
            )?;
            if let Some(spread) = operation.latency {
                write!(text, ", p50 {}, p99 {}", latency(spread.p50_us), latency(spread.p99_us))?;
            }
            writeln!(text)?;
        }
    }
    for (kind, number) in &run.errors {
        writeln!(text, "  {} × {kind}", count(*number))?;
    }
    for baseline in &run.baselines {
        writeln!(text, "{}", beside(baseline))?;
    }
    for note in &run.notes {
        writeln!(text, "({note})")?;
    }
    for threshold in &run.thresholds {
        let verdict = if threshold.passed { "met" } else { "FAILED" };
        writeln!(text, "threshold {}: {verdict} ({})", threshold.condition, threshold.measured)?;
    }
    Ok(())
}

fn beside(baseline: &Baseline) -> String {
    let Baseline { name, beside, unit, measured, baseline, ratio, aim } = baseline;
    let aim = aim.map_or_else(String::new, |aim| format!(" (aim: {aim})"));
    if beside.is_empty() {
        return format!("{name}: {} {unit}{aim}", number(*measured));
    }
    let Some(ratio) = ratio.map(|ratio| format!("{ratio:.3}")) else {
        let why = if unit == PER_SECOND { "; no ratio: the client's core was the limit" } else { "" };
        return format!("{name}: {} {unit}{aim}; {beside}: {} {unit}{why}", number(*measured), number(*baseline));
    };
    format!("{name} ÷ {beside}: {ratio}{aim}; {} and {} {unit}", number(*measured), number(*baseline))
}

/// The baselines of all runs as Markdown, under the machine and the date.
pub fn table(runs: &[Run]) -> String {
    let mut text = String::new();
    if let Some(first) = runs.first() {
        let (machine, date) = (&first.machine, first.began.strftime("%Y-%m-%d"));
        let pinned =
            if machine.pinning.is_empty() { "Not pinned".to_owned() } else { format!("Pinned: {}", machine.pinning) };
        text += &format!("{} cores ({}), {date}. {pinned}.\n\n", machine.cores, machine.model);
    }
    text += "| what | measured | beside | ratio | aim |\n| --- | --- | --- | --- | --- |\n";
    for baseline in runs.iter().flat_map(|run| &run.baselines) {
        let Baseline { name, beside, unit, measured, baseline, ratio, aim } = baseline;
        let bare = if beside.is_empty() { String::new() } else { format!("{beside}: {} {unit}", number(*baseline)) };
        let ratio = match ratio {
            Some(ratio) => format!("{ratio:.3}"),
            None if unit == PER_SECOND && !beside.is_empty() => "none: the client's core was the limit".to_owned(),
            None => String::new(),
        };
        let aim = aim.map_or_else(String::new, |aim| aim.to_string());
        text += &format!("| {name} | {} {unit} | {bare} | {ratio} | {aim} |\n", number(*measured));
    }
    text
}
