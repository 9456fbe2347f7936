//! The form of files: each begins with its purpose, none is too long, and none mentions a machine or unfinished work.

use super::tree;

/// The largest number of lines of a file.
const LONGEST: usize = 400;

/// The entries of the top level. Dotfiles and `target` are allowed as well.
const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "actors",
    "config",
    "data",
    "docker-compose.yml",
    "src",
    "tests",
];

#[test]
fn every_file_says_first_what_lives_in_it() {
    let silent: Vec<_> = tree::rust().into_iter().filter(|file| !file.text.starts_with("//! ")).collect();
    assert!(silent.is_empty(), "without a //! on top: {:?}", silent.iter().map(|file| &file.path).collect::<Vec<_>>());
    let scripts = tree::all().into_iter().filter(|file| file.path.ends_with(".lua") || file.path.ends_with(".sql"));
    for file in scripts {
        assert!(file.text.starts_with("-- "), "{} does not say what it is", file.path);
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let code = |path: &str| [".rs", ".lua", ".sql", ".sh", ".py", "/run"].iter().any(|end| path.ends_with(end));
    let long: Vec<_> = tree::all()
        .into_iter()
        .filter(|file| code(&file.path) && file.text.lines().count() > LONGEST)
        .map(|file| format!("{} ({} lines)", file.path, file.text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn the_top_level_is_fixed() {
    for entry in std::fs::read_dir(tree::top()).expect("the top").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(TOP.contains(&name.as_str()) || name == "target" || name.starts_with('.'), "{name} has no place there");
    }
}

#[test]
fn nothing_is_left_open_and_no_machine_is_named() {
    // Assembled here, so that the test does not find this file.
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["to", "do!("].concat(),
        ["unimpl", "emented!("].concat(),
        ["#[ig", "nore"].concat(),
        ["/wo", "rk/"].concat(),
        ["/tmp", "/wt"].concat(),
        ["/ro", "ot/"].concat(),
        ["../sh", "ared"].concat(),
    ];
    for file in tree::all().iter().filter(|file| file.path != "Cargo.lock") {
        for word in &words {
            // A path may be part of a longer one (/network/), so only the beginning of a word counts.
            let begins = file.text.match_indices(word.as_str()).any(|(at, _)| {
                let before = file.text[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            assert!(!begins, "{} has {word}", file.path);
        }
    }
}

/// Keys that every log line has, or that come with a span. A field of the same name would be a duplicate key.
const TAKEN: [&str; 10] =
    ["message", "timestamp", "level", "target", "span", "spans", "filename", "line_number", "threadName", "threadId"];

#[test]
fn no_field_of_the_log_has_a_name_that_is_taken() {
    for file in tree::rust() {
        for event in file.text.split("tracing::").skip(1).filter_map(|rest| rest.split_once("!(")) {
            // The fields are before the text.
            let fields = event.1.split('"').next().unwrap_or_default();
            for (name, _) in fields.split(',').filter_map(|field| field.split_once(" = ")) {
                assert!(!TAKEN.contains(&name.trim()), "{}: a field is called {}", file.path, name.trim());
            }
        }
    }
}

/// Time is injected: only the clock itself, the command line, the default of a server and a `Date` header (which the
/// framework writes by the system's clock as well) read the system's.
#[test]
fn no_module_reads_the_clock_around_the_injected_one() {
    let ways = ["SystemTime::now", "Timestamp::now(", "Zoned::now", "date_now", "SystemClock"];
    let system = ["actors/src/clock.rs", "src/server.rs", "src/http/exchange.rs"];
    let may = |path: &str| system.contains(&path) || path.starts_with("src/cli/");
    for file in tree::rust().into_iter().filter(|file| !file.path.starts_with("tests/") && !may(&file.path)) {
        let product = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for way in ways {
            assert!(file.path.contains("/tests/") || !product.contains(way), "{} has {way}", file.path);
        }
    }
}

#[test]
fn every_migration_is_compiled_in() {
    let (all, lists) = (tree::all(), ["actors/src/stores/sql/migrations.rs", "actors/src/stores/embedded/mod.rs"]);
    let listed: String =
        all.iter().filter(|file| lists.contains(&file.path.as_str())).map(|file| &*file.text).collect();
    let steps = all.iter().filter_map(|file| file.path.strip_prefix("actors/migrations/")?.strip_suffix(".sql"));
    for step in steps {
        let name = step.rsplit('/').next().unwrap_or(step);
        assert!(listed.contains(name), "{step} is in no list of migrations");
    }
}

#[test]
fn no_room_has_a_name_that_takes_anything() {
    for file in tree::rust() {
        for part in file.path.trim_end_matches(".rs").split('/') {
            assert!(!["utils", "util", "helpers", "common", "manager", "misc"].contains(&part), "{}", file.path);
        }
    }
}
