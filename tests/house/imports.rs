//! Imports point downwards: which rooms may not name which.

use super::tree;

/// Files whose path begins so may name nothing that begins so.
struct Rule {
    rooms: &'static [&'static str],
    except: &'static [&'static str],
    may_not_name: &'static [&'static str],
}

const RULES: &[Rule] = &[
    // The actors' crate knows no HTTP and not the server.
    Rule {
        rooms: &["actors/src/"],
        except: &[],
        may_not_name: &["actix_web", "actix_http", "actix_multipart", "http", "portcullis"],
    },
    // Values, time, errors and derived secrets stand on nothing.
    Rule {
        rooms: &["actors/src/domain/", "actors/src/clock.rs", "actors/src/derive.rs"],
        except: &[],
        may_not_name: &[
            "crate::session",
            "crate::verification",
            "crate::account",
            "crate::notifier",
            "crate::stores",
            "crate::transports",
            "crate::hashing",
            "crate::flows",
            "sqlx",
            "redis",
        ],
    },
    Rule {
        rooms: &["actors/src/hashing/"],
        except: &[],
        may_not_name: &[
            "crate::session",
            "crate::verification",
            "crate::account",
            "crate::notifier",
            "crate::stores",
            "crate::transports",
        ],
    },
    // Stores keep the notifier's rows and know no actor.
    Rule {
        rooms: &["actors/src/stores/"],
        except: &[],
        may_not_name: &[
            "crate::session",
            "crate::verification",
            "crate::account",
            "crate::notifier::NotifierActor",
            "crate::notifier::NotifierPorts",
            "crate::hashing",
            "crate::flows",
            "actix",
        ],
    },
    Rule {
        rooms: &["actors/src/transports/"],
        except: &[],
        may_not_name: &[
            "crate::session",
            "crate::verification",
            "crate::account",
            "crate::notifier",
            "crate::stores",
            "crate::hashing",
            "crate::flows",
            "actix",
        ],
    },
    // Actors know traits, never a backend or a transport of a kind.
    Rule {
        rooms: &["actors/src/session/", "actors/src/verification/", "actors/src/account/", "actors/src/notifier/"],
        except: &[],
        may_not_name: &[
            "crate::stores::sql",
            "crate::stores::redis",
            "crate::stores::embedded",
            "crate::transports::Smtp",
            "crate::transports::Twilio",
            "crate::transports::Inbox",
            "sqlx",
            "redis",
            "lettre",
            "reqwest",
        ],
    },
    Rule { rooms: &["actors/src/session/"], except: &[], may_not_name: &["crate::verification", "crate::account"] },
    // The HTTP layer sends messages; it knows no store, no transport, no actor, and nobody above it.
    Rule {
        rooms: &["src/http/", "src/pages/"],
        except: &[],
        may_not_name: &[
            "crate::app",
            "crate::server",
            "crate::cli",
            "crate::config",
            "portcullis_actors::stores::sql",
            "portcullis_actors::stores::redis",
            "portcullis_actors::stores::embedded",
            "portcullis_actors::transports::Smtp",
            "portcullis_actors::transports::Twilio",
            "portcullis_actors::transports::Transport",
            "portcullis_actors::hashing",
            "portcullis_actors::session::SessionActor",
            "portcullis_actors::verification::VerificationActor",
            "portcullis_actors::account::AccountActor",
            "sqlx",
        ],
    },
    // Connections carry requests to the routes, and read no configuration.
    Rule {
        rooms: &["src/connections/"],
        except: &[],
        may_not_name: &["crate::app", "crate::server", "crate::cli", "crate::config", "portcullis_actors"],
    },
    Rule {
        rooms: &["src/config", "src/telemetry.rs"],
        except: &[],
        may_not_name: &[
            "crate::app",
            "crate::server",
            "crate::cli",
            "crate::http",
            "crate::pages",
            "crate::connections",
        ],
    },
    // A backend or a transport is chosen in one place.
    Rule {
        rooms: &["src/"],
        except: &["src/app"],
        may_not_name: &[
            "portcullis_actors::stores::sql",
            "portcullis_actors::stores::redis",
            "portcullis_actors::stores::embedded",
            "portcullis_actors::transports::Smtp",
            "portcullis_actors::transports::Twilio",
        ],
    },
    Rule { rooms: &["src/app"], except: &[], may_not_name: &["crate::server", "crate::cli"] },
    Rule { rooms: &["src/server.rs"], except: &[], may_not_name: &["crate::cli"] },
];

#[test]
fn nothing_imports_upward() {
    let mut upward = Vec::new();
    for file in tree::rust() {
        let named = paths(&file.path, &file.text);
        for rule in RULES {
            let begins = |rooms: &[&str]| rooms.iter().any(|room| file.path.starts_with(room));
            if begins(rule.rooms) && !begins(rule.except) {
                let broken = |path: &&String| rule.may_not_name.iter().any(|barred| within(path, barred));
                upward.extend(named.iter().filter(broken).map(|path| format!("{} names {path}", file.path)));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
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

/// `a::b::Cde` is within `a::b` and, as a name may be begun (`Smtp`), within `a::b::C`; `a::bc` is not within `a::b`.
fn within(path: &str, barred: &str) -> bool {
    let Some(rest) = path.strip_prefix(barred) else { return false };
    let names_a_type = barred.rsplit("::").next().is_some_and(|last| last.starts_with(char::is_uppercase));
    rest.is_empty() || rest.starts_with("::") || names_a_type
}

/// Every path that a file names, `use` trees spread out and `super` resolved; comments aside.
fn paths(file: &str, text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find(is_part) {
        rest = &rest[at..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word == "use" {
            let end = after.find(';').unwrap_or(after.len());
            spread("", after[..end].trim(), &mut found);
            rest = &after[end..];
        } else {
            if word.contains("::") {
                found.push(word.trim_start_matches(':').to_owned());
            }
            rest = after;
        }
    }
    found.iter().map(|path| resolved(file, path)).collect()
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

/// `super::x` of `actors/src/stores/redis/mod.rs` is `crate::stores::x`.
fn resolved(file: &str, path: &str) -> String {
    let inside = file.split_once("src/").map_or(file, |(_, inside)| inside).trim_end_matches(".rs");
    let mut module: Vec<&str> = inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect();
    let mut rest = path;
    if !rest.starts_with("super::") {
        return rest.to_owned();
    }
    while let Some(above) = rest.strip_prefix("super::") {
        module.pop();
        rest = above;
    }
    let module = module.iter().map(|part| format!("{part}::")).collect::<String>();
    format!("crate::{module}{rest}")
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = "use crate::{error::X, stores::{sql::Y, self}};\nuse super::super::session::Z as W;\nfn f() { let _ = \
                actix_web::rt::spawn; } // crate::comment\n";
    let named = paths("actors/src/stores/redis/mod.rs", text);
    assert_eq!(
        named,
        ["crate::error::X", "crate::stores::sql::Y", "crate::stores", "crate::session::Z", "actix_web::rt::spawn"]
    );
    assert!(within("crate::session::Z", "crate::session") && within("a::SmtpTransport", "a::Smtp"));
    assert!(!within("crate::sessions", "crate::session") && !within("portcullis_actors::x", "portcullis"));
}
