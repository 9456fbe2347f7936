//! The log of a server on PostgreSQL, as a collector reads it: no line is lost, every line is one JSON object, and every
//! field has its type and occurs once.

use super::{Fleet, PASSWORD, address, ask, sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually_blocking;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// An object that rejects duplicate keys. `serde_json` alone would keep the last one.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Once;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Once, A::Error> {
                let mut seen = Map::new();
                while let Some((key, value)) = fields.next_entry::<String, Value>()? {
                    if seen.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{key} stands there twice")));
                    }
                }
                Ok(Once(seen))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The type of a field, by its name.
fn is_typed(key: &str, value: &Value) -> bool {
    match key {
        "status" | "micros" | "message_id" | "user" | "code" | "dead" | "ended" => value.is_u64(),
        _ => value.is_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_missing_and_every_line_can_be_read() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url())
        .with("log.format", "json")
        .with("log.filter", "debug")
        .with("server.workers", "1")
        .with("mail.transport", "smtp")
        .with("mail.smtp_url", "smtp://127.0.0.1:1");
    fleet.user("ada");
    let node = fleet.node("a");
    let mut server = node.start().expect("it starts");
    for _ in 0..20 {
        sign_in(&server, "ada", PASSWORD);
    }
    assert_eq!(ask(&server, "POST", "/tokens/reset", "", &format!("email={}", address("ada"))).status, 200);
    let log = || std::fs::read_to_string(node.log()).expect("a log");
    eventually_blocking("the mail has failed", || log().contains("will be tried again"));
    server.terminate().expect("it runs");
    server.ended();

    let log = log();
    let mut lines = Vec::new();
    for line in log.lines().filter(|line| !line.starts_with("Portcullis listens on")) {
        let Once(fields) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for (key, value) in &fields {
            assert!(is_typed(key, value), "{key} has the wrong type: {line}");
        }
        lines.push(fields);
    }
    let sign_ins = lines.iter().filter(|line| line.get("route").is_some_and(|route| route == "/api/v1/tokens"));
    assert_eq!(sign_ins.count(), 20, "{log}");
    let says = |line: &Map<String, Value>, text| {
        line.get("message").and_then(Value::as_str).is_some_and(|says: &str| says.starts_with(text))
    };
    for text in ["stopping", "will be tried again"] {
        assert!(lines.iter().any(|line| says(line, text)), "nothing says {text:?}: {log}");
    }
}
