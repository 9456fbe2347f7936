//! What needs attention, in words. A pure function of what the overview knows.

use super::rows::readable;
use crate::http::pages::times;
use crate::http::{Minute, Pulse, StoreState};
use portcullis_actors::administration::Survey;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::Locale;
use portcullis_actors::notifier::BreakerState;
use std::time::Duration;

/// A node that was not seen for this time has stopped, or does not reach the database.
const NOT_SEEN: Duration = Duration::from_secs(60);
/// Messages leave within seconds. The oldest that waits is then not older than this.
const WAITS_LONG: Duration = Duration::from_secs(300);
/// Refusals by the queue for hashing are news for so many minutes.
const RECENT: usize = 5;

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// `bad` or `warn`.
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// Where to look; empty if there is no such page.
    pub(super) href: &'static str,
}

/// What the overview knows.
pub(super) struct Known<'a> {
    pub(super) survey: &'a Survey,
    pub(super) pulse: &'a Pulse,
    pub(super) stores: &'a [StoreState],
    pub(super) demo_data: bool,
    pub(super) now: Timestamp,
}

/// The most urgent first.
pub(super) fn notices(known: &Known<'_>) -> Vec<Notice> {
    let Known { survey, pulse, stores, demo_data, now } = *known;
    let mut notices = Vec::new();
    let mut add = |kind, href, text| notices.push(Notice { kind, text, href });
    for store in stores {
        if let Some(fault) = &store.fault {
            add("bad", "", format!("{}: the store fails: {fault}.", store.keeps));
        }
    }
    if demo_data {
        add("bad", "/admin/users", "The demo account can sign in, and its password is public. Disable it.".to_owned());
    }
    for provider in pulse.providers.iter().filter(|provider| provider.breaker != BreakerState::Closed) {
        let name = &provider.name;
        let text = format!("The provider {name} failed several times in a row. Messages go to another one, or wait.");
        add("bad", "/admin/outbox", text);
    }
    if let Some(age) = survey.outbox.oldest.map(|oldest| now.since(oldest)).filter(|age| *age >= WAITS_LONG) {
        let text = format!("The oldest message that waits was queued {} ago.", span(age));
        add("warn", "/admin/outbox?show=waiting", text);
    }
    match survey.outbox.dead {
        0 => {}
        1 => add("warn", "/admin/outbox?show=dead", "One message could not be delivered.".to_owned()),
        dead => add("warn", "/admin/outbox?show=dead", format!("{dead} messages could not be delivered.")),
    }
    let recent = pulse.minutes.iter().rev().take(RECENT).map(|minute: &Minute| minute.hashing_refused).sum::<u64>();
    if recent > 0 {
        let text = format!(
            "The queue for hashing passwords was full: {recent} requests were refused in the last {RECENT} minutes. \
             Add threads or nodes, or look who signs in so often."
        );
        add("warn", "", text);
    }
    for node in survey.nodes.iter().filter(|node| now.since(node.seen) >= NOT_SEEN) {
        let text = format!(
            "The node {} was last seen {} ago. It has stopped without a word, or does not reach the database.",
            node.id,
            span(now.since(node.seen))
        );
        add("warn", "", text);
    }
    for key in &survey.expiring {
        let end = key.expires.map(readable).unwrap_or_default();
        let name = if key.name.is_empty() { format!("{}", key.id) } else { format!("“{}”", key.name) };
        add("warn", "/admin/keys", format!("The key {name} of {} expires on {end}.", key.app_name));
    }
    notices
}

fn span(time: Duration) -> String {
    times::wait(Locale::En, time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_actors::domain::{AppId, KeyRowId, UserId};
    use portcullis_actors::error::Dependency;
    use portcullis_actors::notifier::ProviderSnapshot;
    use portcullis_actors::stores::{Channel, KeyRecord, Node, OutboxStats};

    const NOW: Timestamp = Timestamp::from_secs(1_788_404_046);

    fn texts(survey: &Survey, pulse: &Pulse, stores: &[StoreState], demo_data: bool) -> Vec<String> {
        let known = Known { survey, pulse, stores, demo_data, now: NOW };
        notices(&known).into_iter().map(|notice| notice.text).collect()
    }

    fn quiet() -> Survey {
        let node = |id: &str, ago| Node {
            id: id.to_owned(),
            version: "1".to_owned(),
            started: NOW,
            seen: NOW.minus(Duration::from_secs(ago)),
        };
        let outbox = OutboxStats { oldest: Some(NOW.minus(Duration::from_secs(299))), ..OutboxStats::default() };
        Survey { nodes: vec![node("a:1", 59)], outbox, expiring: vec![] }
    }

    fn provider(breaker: BreakerState) -> ProviderSnapshot {
        ProviderSnapshot {
            channel: Channel::Sms,
            name: "sms-1".to_owned(),
            breaker,
            tries: vec![],
            ends: vec![],
            reports: vec![],
        }
    }

    fn store(fault: Option<&str>) -> StoreState {
        StoreState {
            store: Dependency::Database,
            keeps: "Accounts",
            product: "SQLite 3".to_owned(),
            took: Duration::ZERO,
            fault: fault.map(str::to_owned),
        }
    }

    #[test]
    fn a_healthy_installation_needs_nothing() {
        let old = Minute { hashing_refused: 9, ..Minute::default() };
        let minutes = [vec![old], vec![Minute::default(); 5]].concat();
        let pulse = Pulse { minutes, providers: vec![provider(BreakerState::Closed)], ..Pulse::default() };
        assert_eq!(texts(&quiet(), &pulse, &[store(None)], false), [""; 0]);
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let mut survey = quiet();
        survey.nodes[0].seen = NOW.minus(Duration::from_secs(60));
        survey.outbox.oldest = Some(NOW.minus(Duration::from_secs(300)));
        survey.outbox.dead = 2;
        survey.expiring.push(KeyRecord {
            id: KeyRowId(7),
            app: AppId(1),
            app_name: "beyondvip".parse().expect("a name"),
            owner: UserId(1),
            scopes: vec![],
            name: "billing".to_owned(),
            created: NOW,
            last_used: None,
            expires: Some(NOW),
            replaced: None,
            revoked: None,
        });
        let minutes = vec![Minute { hashing_refused: 3, ..Minute::default() }];
        let pulse = Pulse { minutes, providers: vec![provider(BreakerState::Open)], ..Pulse::default() };
        let said = texts(&survey, &pulse, &[store(Some("it is read-only"))], true);
        let begins = [
            "Accounts: the store fails: it is read-only.",
            "The demo account can sign in",
            "The provider sms-1 failed",
            "The oldest message that waits was queued 5 minutes ago.",
            "2 messages could not be delivered.",
            "The queue for hashing passwords was full: 3 requests",
            "The node a:1 was last seen 60 seconds ago.",
            "The key “billing” of beyondvip expires on 3 Sep 2026, 02:54 UTC.",
        ];
        assert_eq!(said.len(), begins.len(), "{said:#?}");
        for (text, begin) in said.iter().zip(begins) {
            assert!(text.starts_with(begin), "{text}");
        }
    }
}
