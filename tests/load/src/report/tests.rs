//! What a report shows, and that it is well-formed for every run.

use super::compare::compare;
use super::{html, json};
use crate::report::example::morning;
use crate::results::{Aim, Arrivals, Baseline, Latency, Run, Second, Target, Totals};
use quick_xml::events::Event;

/// Reads the report as XML, so that every tag is closed and every text is escaped; gives its texts.
fn texts(run: &Run) -> String {
    let page = html(run).expect("a report");
    for word in ["NaN", "inf%", "infinity", "<script", "http://", "https://", "url("] {
        assert!(!page.contains(word), "{word} is in the report");
    }
    let mut reader = quick_xml::Reader::from_str(&page);
    let (mut texts, mut style) = (String::new(), false);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(tag) => style = tag.name().as_ref() == b"style",
            Event::Text(text) if !style => texts += &text.decode().expect("UTF-8"),
            Event::GeneralRef(name) => {
                let resolved = name.resolve_char_ref().expect("a character").map(String::from);
                texts += &resolved.unwrap_or_else(|| format!("&{};", name.decode().expect("UTF-8")));
            }
            Event::Eof => return texts,
            _ => {}
        }
    }
}

fn has(texts: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(texts.contains(text), "{text} is not in the report: {texts}");
    }
}

#[test]
fn a_report_has_the_figures_of_its_run() {
    let texts = texts(&morning(120));
    has(&texts, &["morning", "portcullis 0.1.0, PostgreSQL 15.8, Redis 7.0.15", "2026-11-27 17:20 UTC", "2:00 min"]);
    has(&texts, &["1 of 3 thresholds failed", "p99<25ms", "1.90 s", "✗ failed", "✓ passed"]);
    has(&texts, &["sign-ins ÷ bare argon2 loop", "97.3 ÷ 102 per second", "0.95", "meets the aim: ≥ 0.95"]);
    has(&texts, &["59,812 ÷ 115,004 per second", "misses the aim: ≥ 0.80"]);
    has(&texts, &["503 overloaded", "time-out", "1,200 of 240,000", "the client was the limit"]);
    has(&texts, &["AMD EPYC 9R14", "24 GiB", "server: core 0, client: core 1", "1,000,000", "open, Poisson"]);
    has(&texts, &["Rate and goodput", "Latency over time", "Latency by percentile", "Server CPU", "Server memory"]);
    has(&texts, &["requests per second", "log scale", "99.999%", "push registration"]);
}

#[test]
fn what_a_user_named_is_escaped() {
    let hostile = r#"<script>alert("&')</script>"#;
    let mut run = morning(3);
    run.scenario = hostile.to_owned();
    run.target = Target::Url(hostile.to_owned());
    run.errors = [(hostile.to_owned(), 1)].into();
    run.notes = vec![hostile.to_owned()];
    run.thresholds[0].condition = hostile.to_owned();
    run.baselines[0].beside = hostile.to_owned();
    run.operations[0].name = hostile.to_owned();
    run.machine.model = hostile.to_owned();
    assert!(texts(&run).matches(hostile).count() >= 8);
}

#[test]
fn every_run_has_a_report() {
    let nothing = Run {
        seconds: Vec::new(),
        latency: Latency::default(),
        totals: Totals::default(),
        errors: [].into(),
        thresholds: Vec::new(),
        baselines: Vec::new(),
        operations: Vec::new(),
        notes: Vec::new(),
        ..morning(0)
    };
    has(&texts(&nothing), &["no thresholds set", "What was run"]);
    assert!(!texts(&nothing).contains("Nothing was answered"), "there was no load");
    let unanswered = Run { totals: Totals { planned: 10, dropped: 10, ..Totals::default() }, ..nothing };
    has(&texts(&unanswered), &["Nothing was answered", "None."]);
    has(&texts(&morning(1)), &["Rate and goodput", "Server memory"]);
    // A run of a day is drawn with fewer points, and its file stays small.
    let day = morning(86_400);
    has(&texts(&day), &["time (h:min); each point is 360 s", "12:00"]);
    assert!(html(&day).expect("a report").len() < 600_000);
}

#[test]
fn a_server_that_answers_nothing_has_a_report() {
    let second = Second { planned: 10, sent: 10, errors: 10, ..Second::default() };
    let run = Run {
        seconds: vec![second; 5],
        totals: Totals { planned: 50, sent: 50, errors: 50, ..Totals::default() },
        latency: Latency::default(),
        errors: [("connection refused".to_owned(), 50)].into(),
        ..morning(5)
    };
    let texts = texts(&run);
    has(&texts, &["100%", "50 of 50", "connection refused", "Nothing was answered"]);
    assert!(!texts.contains("Server CPU") && !texts.contains("Latency over time"), "{texts}");
}

#[test]
fn numbers_that_are_none_do_not_reach_the_report() {
    let mut run = morning(5);
    run.settings.duration_s = f64::NAN;
    run.settings.rate = f64::INFINITY;
    run.baselines[0].ratio = Some(f64::NAN);
    run.baselines[1].baseline = 0.0;
    run.baselines[1].ratio = Some(f64::INFINITY);
    run.seconds[2].server_cpu_cores = Some(f64::NAN);
    texts(&run);
}

#[test]
fn a_run_is_the_same_after_it_was_written_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.json");
    let run = morning(20);
    json::write(&run, &file).expect("written");
    let again = json::read(&file).expect("read");
    assert!(html(&again).expect("a report") == html(&run).expect("a report"));
    std::fs::write(&file, "{}").expect("written");
    assert!(json::read(&file).expect_err("refused").to_string().contains("not the result of a run"));
}

#[test]
fn a_comparison_names_what_differs() {
    let before = morning(60);
    let mut after = morning(60);
    after.latency.corrected.iter_mut().for_each(|point| point.us *= 2);
    after.baselines[0].ratio = Some(0.476);
    assert!(!compare(&before, &before).contains("different"));
    after.machine.cores = 8;
    let text = compare(&before, &after);
    assert!(text.starts_with("different machines: 2 cores, AMD EPYC 9R14"), "{text}");
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
    assert!(row("p99 ").ends_with("2.00"), "{text}");
    assert!(row("sign-ins ÷ bare argon2 loop").ends_with("0.50"), "{text}");
    assert!(row("server CPU per good answer").ends_with("1.00"), "{text}");
}

#[test]
fn a_figure_without_a_ratio_is_shown_and_compared() {
    let mut run = morning(5);
    run.baselines[0] = Baseline {
        name: "memory".to_owned(),
        beside: String::new(),
        unit: "MiB".to_owned(),
        measured: 12.0,
        baseline: 0.0,
        ratio: None,
        aim: Some(Aim::AtMost(10.0)),
    };
    let texts = texts(&run);
    has(&texts, &["12 MiB", "misses the aim: ≤ 10"]);
    assert!(!texts.contains("memory ÷"), "{texts}");
    run.baselines[0].beside = "before".to_owned();
    has(&self::texts(&run), &["12 MiB", "before: 0 MiB"]);
    let mut after = run.clone();
    after.baselines[0].measured = 6.0;
    let text = compare(&run, &after);
    let row = text.lines().find(|line| line.starts_with("memory (MiB)")).expect(&text);
    assert!(row.ends_with("0.50"), "{text}");
}

#[test]
fn a_closed_loop_says_so() {
    let mut run = morning(5);
    run.settings.arrivals = Arrivals::Closed;
    run.latency.corrected.clear();
    has(&texts(&run), &["closed loop", "from sending", "Latency by percentile"]);
    let text = crate::summary::text(&run);
    assert!(text.contains("from sending") && !text.contains("from the intended start"), "{text}");
}
