//! A closed loop: each connection sends its next request when the last is answered. It shows how much a server does at
//! most, and nothing about what users wait.

use super::sender::Sender;
use crate::interrupt::interrupted;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a connection waits after a request that got no answer, so that a server that is gone is not asked in a loop.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Sends requests on so many connections until `end`, and waits for the last answer.
pub async fn run(connections: usize, sender: Rc<Sender>, end: Instant) {
    let mut running = JoinSet::new();
    for _ in 0..connections {
        let sender = Rc::clone(&sender);
        running.spawn_local(async move {
            let mut connection = None;
            loop {
                let now = Instant::now();
                if now >= end || interrupted() {
                    return;
                }
                sender.recording().planned(now);
                connection = sender.send(connection, now).await;
                if connection.is_none() {
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        });
    }
    while running.join_next().await.is_some() {}
}
