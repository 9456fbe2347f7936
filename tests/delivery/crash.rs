//! The server as a process: killed among its deliveries, and stopped during one.

use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::stores::sql::SqlStore;
use portcullis_actors::stores::{MessageState, OutboxFilter, OutboxStore as _};
use portcullis_testkit::server::Setup;
use portcullis_testkit::smtp::{Behaviour, ReceivedMail, SmtpServer};
use portcullis_testkit::wait::{PATIENCE, eventually, eventually_within};
use portcullis_testkit::{http_client, stores};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(7);
const WORKERS: usize = 32;

fn setup(folder: &Path, server: &SmtpServer) -> Setup {
    let (lease, workers) = (LEASE.as_secs().to_string(), WORKERS.to_string());
    Setup::new(env!("CARGO_BIN_EXE_portcullis"), folder, "loadtest").with(&[
        ("mail.transport", "smtp"),
        ("mail.smtp_url", &server.url()),
        ("delivery.mail_timeout_secs", "2"),
        ("delivery.mail_lease_secs", &lease),
        ("delivery.mail_concurrency", &workers),
        ("delivery.per_lane", &workers),
    ])
}

async fn outbox(folder: &Path) -> SqlStore {
    stores::connect(&stores::sqlite_url(&folder.join("data/portcullis.db")), Arc::new(SystemClock)).await
}

async fn ask_for_reset(client: &reqwest::Client, url: &str, email: &str) -> bool {
    let sent = client.post(url).form(&[("email", email)]).send().await;
    sent.is_ok_and(|answer| answer.status() == 200)
}

/// The number of mails beyond the first of each message. They have the same `Message-ID`.
fn repetitions(mails: &[ReceivedMail]) -> usize {
    let mut arrived: HashMap<String, usize> = HashMap::new();
    for mail in mails {
        *arrived.entry(mail.header("Message-ID").concat()).or_default() += 1;
    }
    arrived.values().map(|count| count - 1).sum()
}

#[actix::test]
async fn twenty_kills_among_2000_acknowledged_mails_lose_none() {
    const MAILS: usize = 2_000;
    const KILLS: usize = 20;
    let server = SmtpServer::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let setup = setup(folder.path(), &server);
    setup.run(&["apps", "add", "beyondvip", "--brand", "Beyond VIP"], "").expect("an application");
    setup.run(&["users", "generate", "--count", &MAILS.to_string()], "").expect("accounts");
    let mut asking: Vec<String> = (1..=MAILS).map(|n| format!("load-{n}@example.invalid")).collect();
    let mut acknowledged = HashSet::new();
    let client = http_client();
    for kill in 1..=KILLS {
        let mut process = setup.start().expect("it starts");
        let url = process.url("/api/v1/tokens/reset");
        // The kill comes while one share of the mails is requested and the former share is delivered.
        let share = asking.split_off(asking.len() - (MAILS / KILLS).min(asking.len()));
        let posts = share.iter().map(|email| {
            let (client, url) = (&client, &url);
            async move { (email.clone(), ask_for_reset(client, url, email).await) }
        });
        let killed = async {
            tokio::time::sleep(Duration::from_millis(100 + 37 * kill as u64)).await;
            process.kill();
        };
        let (answers, ()) = futures_util::join!(futures_util::future::join_all(posts), killed);
        for (email, answered) in answers {
            if answered {
                acknowledged.insert(email);
            } else {
                asking.push(email);
            }
        }
    }
    let process = setup.start().expect("it starts");
    let url = process.url("/api/v1/tokens/reset");
    for email in asking {
        // A busy server may refuse a request.
        eventually("acknowledged", async || ask_for_reset(&client, &url, &email).await).await;
        acknowledged.insert(email);
    }
    assert_eq!(acknowledged.len(), MAILS);
    let store = outbox(folder.path()).await;
    let mut overdue = Duration::ZERO;
    let leased = OutboxFilter { state: Some(MessageState::Leased), limit: 1_000, ..OutboxFilter::default() };
    let settled = eventually_within(2 * PATIENCE, "all are settled", async || {
        for message in store.list(&leased).await.expect("a list") {
            overdue = overdue.max(message.due.map_or(Duration::ZERO, |lapses| SystemClock.now().since(lapses)));
        }
        store.stats().await.expect("stats").pending == 0
    });
    let settled = settled.await;
    let mails = server.mails();
    let arrived: HashSet<_> = mails.iter().map(|mail| mail.recipients[0].clone()).collect();
    let lost: Vec<_> = acknowledged.difference(&arrived).collect();
    println!(
        "{} mails, {} repeated, settled {settled:?} after the last, a lapsed lease lay for {overdue:?}",
        mails.len(),
        repetitions(&mails)
    );
    assert!(overdue < Duration::from_secs(10), "stuck for {overdue:?} longer than its lease");
    assert!(lost.is_empty(), "{} lost", lost.len());
    assert!(repetitions(&mails) <= KILLS * WORKERS, "at most one a worker and kill");
    assert_eq!(store.stats().await.expect("stats").dead, 0);
}

#[actix::test]
async fn a_stop_puts_back_what_a_slow_relay_holds_and_ends_within_ten_seconds() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::tarpit("rcpt", Duration::from_secs(120), "")).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let slow = [("delivery.mail_timeout_secs", "60"), ("delivery.mail_lease_secs", "75")];
    let setup = setup(folder.path(), &server).with(&slow);
    setup.run(&["apps", "add", "beyondvip", "--brand", "Beyond VIP"], "").expect("an application");
    setup.run(&["users", "generate", "--count", "1"], "").expect("an account");
    let mut process = setup.start().expect("it starts");
    let client = http_client();
    assert!(ask_for_reset(&client, &process.url("/api/v1/tokens/reset"), "load-1@example.invalid").await);
    let store = outbox(folder.path()).await;
    let states = async || {
        let filter = OutboxFilter { limit: 10, ..OutboxFilter::default() };
        store.list(&filter).await.expect("a list").iter().map(|message| message.state).collect::<Vec<_>>()
    };
    eventually("under way", async || states().await == [MessageState::Leased]).await;
    process.terminate().expect("it runs");
    let (_, took) = process.ended();
    println!("stopped after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(states().await, [MessageState::Queued], "the next node need not wait for the lease");
}
