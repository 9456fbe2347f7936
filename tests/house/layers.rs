//! The layers of the house, as one ordered list: a file names only files of lower layers or of its own room, and no
//! files name each other in a circle.
//!
//! The test reads the sources: it follows each path that a file names, through re-exports, to the file that holds it.
//! A module root (`mod.rs`, or `app.rs` beside `app/`) and the files below it count as one room: a root may re-export
//! its files, and they may use what it declares.

use super::tree::{self, Source};
use std::collections::{BTreeMap, BTreeSet};

/// From top to bottom. The rooms of one line stand beside each other and do not name each other.
const LAYERS: &[&[&str]] = &[
    &["src/main.rs", "src/build.rs"],
    &["src/cli"],
    &["src/server.rs"],
    &["src/stopper.rs"],
    &["src/maintenance.rs"],
    &["src/app"],
    &["src/admin"],
    &["src/connections", "src/config"],
    &["src/http"],
    &["src/telemetry.rs"],
    &["actors/src/administration"],
    &["actors/src/verification"],
    &["actors/src/account"],
    &["actors/src/session"],
    &["actors/src/notifier"],
    &["actors/src/flows.rs", "actors/src/limits"],
    &["actors/src/stores/sql", "actors/src/stores/redis", "actors/src/stores/embedded"],
    &["actors/src/stores/sqlite.rs", "actors/src/stores/session_cache.rs"],
    &["actors/src/stores/transaction.rs"],
    &["actors/src/stores"],
    &["actors/src/transports", "actors/src/hashing"],
    &["actors/src/derive.rs"],
    &["actors/src/error.rs", "actors/src/clock.rs", "actors/src/metrics.rs", "actors/src/trace"],
    &["actors/src/domain"],
];

/// Names with a closed list of rooms that may use them: the frameworks, and the parts that only `src/app` chooses.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("actix_web", &["src/"]),
    ("actix_http", &["src/"]),
    ("portcullis", &["src/"]),
    (
        "actix",
        &[
            "src/",
            "actors/src/administration",
            "actors/src/verification",
            "actors/src/account",
            "actors/src/session",
            "actors/src/notifier",
            "actors/src/flows.rs",
        ],
    ),
    ("sqlx", &["actors/src/stores/sql", "actors/src/stores/embedded", "actors/src/stores/transaction.rs"]),
    ("redis", &["actors/src/stores/redis"]),
    ("prometheus_client", &["src/admin"]),
    ("lettre", &["actors/src/transports"]),
    ("reqwest", &["actors/src/transports", "src/app/traces.rs"]),
    ("opentelemetry", &["actors/src/trace", "src/app/traces.rs", "src/http/traces.rs"]),
    ("opentelemetry_sdk", &["src/app/traces.rs"]),
    ("opentelemetry_otlp", &["src/app/traces.rs"]),
    ("portcullis_actors::stores::sql", &["src/app"]),
    ("portcullis_actors::stores::redis", &["src/app"]),
    ("portcullis_actors::stores::embedded", &["src/app"]),
    ("portcullis_actors::transports::SmtpTransport", &["src/app"]),
    ("portcullis_actors::transports::TwilioTransport", &["src/app"]),
    ("portcullis_actors::administration::AdministrationActor", &["src/app"]),
    ("portcullis_actors::verification::VerificationActor", &["src/app"]),
    ("portcullis_actors::account::AccountActor", &["src/app"]),
    ("portcullis_actors::session::SessionActor", &["src/app"]),
    ("portcullis_actors::notifier::NotifierActor", &["src/app", "src/server.rs"]),
];

#[test]
fn nothing_imports_upward() {
    let house = House::read();
    let mut upward = Vec::new();
    for file in house.files.values() {
        let own = layer(&file.path);
        for target in house.named(file).into_iter().filter(|target| *target != file.path) {
            let other = layer(&target);
            let allowed = if own.0 == other.0 { own.1 == other.1 } else { own.0 < other.0 };
            if !allowed {
                upward.push(format!("{} names {target}", file.path));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let house = House::read();
    let arrows: BTreeMap<&str, BTreeSet<String>> = house
        .files
        .values()
        .map(|file| {
            // A macro names its own file.
            let other = |target: &String| *target != file.path && !one_room(&file.path, target);
            let named = house.named(file).into_iter().filter(other).collect();
            (file.path.as_str(), named)
        })
        .collect();
    let circles: Vec<_> = arrows.keys().filter_map(|start| way_back(start, &arrows)).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn frameworks_and_adapters_are_named_where_they_belong() {
    let mut misplaced = Vec::new();
    for file in House::read().files.values() {
        for path in paths(&file.text) {
            for (name, rooms) in NAMED_BY {
                if within(&path, name) && !rooms.iter().any(|room| file.path.starts_with(room)) {
                    misplaced.push(format!("{} names {path}", file.path));
                }
            }
        }
    }
    assert!(misplaced.is_empty(), "{misplaced:#?}");
}

#[test]
fn policy_is_pure() {
    for file in tree::rust() {
        if file.path.ends_with("/policy.rs") || file.path.ends_with("/retry.rs") {
            for word in [".await", "async fn", "Instant::now", "SystemTime::now"] {
                assert!(!file.text.contains(word), "{} has {word}", file.path);
            }
        }
    }
}

/// The line of [`LAYERS`] and the room in it that a file belongs to: the longest room that its path begins with.
fn layer(path: &str) -> (usize, &'static str) {
    if path == "src/lib.rs" || path == "actors/src/lib.rs" {
        // The root of a crate declares its modules and re-exports what the layers above use.
        return (0, "");
    }
    let rooms = LAYERS.iter().enumerate().flat_map(|(at, rooms)| rooms.iter().map(move |room| (at, *room)));
    let inside = |room: &str| {
        let rest = path.strip_prefix(room);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
    };
    let found = rooms.filter(|(_, room)| inside(room)).max_by_key(|(_, room)| room.len());
    found.unwrap_or_else(|| panic!("{path} is in no layer"))
}

/// Whether one of the two files is the root of a module and the other one lies below it.
fn one_room(one: &str, other: &str) -> bool {
    let below = |root: &str, file: &str| folder(root).is_some_and(|folder| file.starts_with(&format!("{folder}/")));
    below(one, other) || below(other, one)
}

/// The folder whose module root a file is.
fn folder(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".rs")?;
    let root = stem.strip_suffix("/mod").or_else(|| stem.strip_suffix("/lib"));
    Some(root.unwrap_or(stem).to_owned())
}

/// A way from `start` back to it, as the files on it.
fn way_back(start: &str, arrows: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.to_owned()]];
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| arrows.get(last.as_str())).into_iter().flatten() {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

/// The product's files, without their unit tests and comments.
struct House {
    files: BTreeMap<String, Source>,
}

impl House {
    fn read() -> Self {
        let is_product = |path: &str| {
            let test = path.contains("/tests/") || path.ends_with("tests.rs");
            (path.starts_with("src/") || path.starts_with("actors/src/")) && !test
        };
        let sources = tree::rust().into_iter().filter(|file| is_product(&file.path));
        Self { files: sources.map(|file| (file.path.clone(), Source { text: code(&file.text), ..file })).collect() }
    }

    /// The files that a file names.
    fn named(&self, file: &Source) -> BTreeSet<String> {
        paths(&file.text).iter().filter_map(|path| self.resolve(file, path)).collect()
    }

    /// The file that holds what `path` names, as it is written in `file`; `None` for another crate.
    fn resolve(&self, file: &Source, path: &str) -> Option<String> {
        let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
        let mut at = file.path.clone();
        match *parts.first()? {
            "crate" => at = if at.starts_with("actors/") { "actors/src/lib.rs" } else { "src/lib.rs" }.to_owned(),
            "portcullis" => at = "src/lib.rs".to_owned(),
            "portcullis_actors" => at = "actors/src/lib.rs".to_owned(),
            "self" => {}
            "super" => at = self.parent(&at)?,
            child => {
                self.child(&at, child)?;
                parts.insert(0, "self");
            }
        }
        for part in &parts[1..] {
            at = match *part {
                "super" => self.parent(&at)?,
                part => match self.child(&at, part).or_else(|| self.re_exported(&at, part)) {
                    Some(next) => next,
                    // An item of this file.
                    None => break,
                },
            };
        }
        Some(at)
    }

    /// The file of a module that `root` declares.
    fn child(&self, root: &str, name: &str) -> Option<String> {
        let folder = folder(root)?;
        let candidates = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
        candidates.into_iter().find(|path| self.files.contains_key(path))
    }

    fn parent(&self, file: &str) -> Option<String> {
        let (above, _) = folder(file)?.rsplit_once('/').map(|(above, name)| (above.to_owned(), name.to_owned()))?;
        let candidates = [format!("{above}/mod.rs"), format!("{above}/lib.rs"), format!("{above}.rs")];
        candidates.into_iter().find(|path| self.files.contains_key(path))
    }

    /// The file of an item that a module root re-exports.
    fn re_exported(&self, root: &str, name: &str) -> Option<String> {
        let file = self.files.get(root)?;
        for begin in ["pub use ", "pub(crate) use ", "pub(super) use "] {
            for tree in file.text.split(begin).skip(1).filter_map(|rest| rest.split_once(';')) {
                let mut found = Vec::new();
                spread("", tree.0.trim(), &mut found);
                if let Some(path) = found.iter().find(|path| path.rsplit("::").next() == Some(name)) {
                    return self.resolve(file, path);
                }
            }
        }
        None
    }
}

/// A file's code: without comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let product = text.split("mod tests {").next().unwrap_or_default();
    product.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path that a piece of code names, `use` trees spread out.
fn paths(code: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(is_part) {
        // The target of a log line is a text and no path.
        let quoted = rest[..at].ends_with('"');
        rest = &rest[at..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word == "use" {
            let end = after.find(';').unwrap_or(after.len());
            spread("", after[..end].trim(), &mut found);
            rest = &after[end..];
        } else {
            if word.contains("::") && !quoted {
                found.push(word.trim_start_matches(':').to_owned());
            }
            rest = after;
        }
    }
    found
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn spread(before: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return found.push(format!("{before}{path}").trim_end_matches("::self").to_owned());
    };
    let inner = &inner[..inner.rfind('}').unwrap_or(inner.len())];
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[begin..at].trim().is_empty() {
                    spread(&format!("{before}{}", head.trim()), inner[begin..at].trim(), found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// `a::b::c` is within `a::b`; `a::bc` is not.
fn within(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A house of two crates, in which each kind of fault stands once.
fn example(extra: &[(&str, &str)]) -> House {
    let files = [
        ("actors/src/lib.rs", "pub mod stores;\npub mod session;"),
        ("actors/src/stores/mod.rs", "mod tokens;\npub mod sql;\npub use tokens::{Session, SessionStore};"),
        ("actors/src/stores/tokens.rs", "use super::StoreResult;"),
        ("actors/src/session/mod.rs", "mod messages;\nmod sign_in;\npub use messages::SignIn;"),
        ("actors/src/session/messages.rs", ""),
        ("actors/src/session/sign_in.rs", "use super::messages::SignIn;\nuse crate::stores::{self, Session};"),
    ];
    let source = |(path, text): &(&str, &str)| (path.to_string(), Source { path: path.to_string(), text: code(text) });
    House { files: files.iter().chain(extra).map(source).collect() }
}

#[test]
fn names_are_followed_to_the_file_that_holds_them() {
    let house = example(&[("src/app/worker.rs", "fn f() { let _ = portcullis_actors::session::SignIn::new; }")]);
    let named = |file: &str| house.named(&house.files[file]).into_iter().collect::<Vec<_>>();
    assert_eq!(
        named("actors/src/session/sign_in.rs"),
        ["actors/src/session/messages.rs", "actors/src/stores/mod.rs", "actors/src/stores/tokens.rs"]
    );
    assert_eq!(named("actors/src/stores/tokens.rs"), ["actors/src/stores/mod.rs"]);
    assert_eq!(named("src/app/worker.rs"), ["actors/src/session/messages.rs"]);
    assert_eq!(paths("use a::{b::{C, self}, d as e};\nx::y::<Z>()"), ["a::b::C", "a::b", "a::d", "x::y::"]);
}

#[test]
fn circles_and_layers_are_recognised() {
    assert!(layer("src/cli/users/mod.rs") < layer("src/app/worker.rs"));
    assert_eq!(layer("actors/src/stores/sql/users.rs").1, "actors/src/stores/sql");
    assert_eq!(layer("actors/src/stores/tokens.rs").1, "actors/src/stores");
    assert!(one_room("actors/src/session/mod.rs", "actors/src/session/messages.rs"));
    assert!(!one_room("actors/src/session/sign_in.rs", "actors/src/session/messages.rs"));

    let arrows = |pairs: &[(&'static str, &str)]| {
        let mut arrows: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            arrows.entry(from).or_default().insert((*to).to_owned());
        }
        arrows
    };
    assert!(way_back("a", &arrows(&[("a", "b"), ("b", "c"), ("c", "a")])).is_some());
    assert!(way_back("a", &arrows(&[("a", "b"), ("b", "c"), ("a", "c")])).is_none());
}
