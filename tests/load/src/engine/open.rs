//! Open arrivals: requests start when they are due, however slow the server is.
//!
//! A request takes an idle connection, or opens one. When as many are open as are allowed, it waits for one, and its
//! latency counts from when it was due. After the longest wait it is dropped, and counted as that.

use super::arrivals::Schedule;
use super::client::Connection;
use super::sender::Sender;
use super::timer::Timer;
use crate::interrupt::interrupted;
use crate::measure::Outcome;
use crate::options::Spacing;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The load of one client thread.
pub struct Open {
    pub rate: f64,
    pub spacing: Spacing,
    /// Connections at a time.
    pub connections: usize,
    /// The longest wait for a connection.
    pub patience: Duration,
    /// This thread, and how many there are.
    pub thread: usize,
    pub threads: usize,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    open: usize,
    /// When the requests without a connection were due.
    waiting: VecDeque<Instant>,
}

/// Sends requests from `start` to `end`, and waits for the last answer.
///
/// # Errors
/// When the system has no timer.
pub async fn run(load: Open, sender: Rc<Sender>, start: Instant, end: Instant) -> Outcome<()> {
    let pool = Rc::new(RefCell::new(Pool::default()));
    let mut timer = Timer::new()?;
    let mut running = JoinSet::new();
    for offset in Schedule::new(load.rate, load.spacing, load.thread, load.threads, rand::rng()) {
        let due = start + offset;
        if due >= end || interrupted() {
            break;
        }
        timer.until(due).await?;
        sender.recording().planned(due);
        match take(&pool, load.connections) {
            Some(connection) => {
                let (pool, sender) = (Rc::clone(&pool), Rc::clone(&sender));
                running.spawn_local(serve(pool, sender, due, connection, load.patience));
            }
            None => {
                pool.borrow_mut().waiting.push_back(due);
                drop_late(&pool, &sender, load.patience);
            }
        }
        while running.try_join_next().is_some() {}
        // When the client is late it would otherwise never read answers.
        tokio::task::consume_budget().await;
    }
    while running.join_next().await.is_some() {}
    for due in pool.borrow_mut().waiting.drain(..) {
        sender.recording().dropped(due);
    }
    Ok(())
}

/// An idle connection, or the place of a new one; none if as many are open as are allowed.
fn take(pool: &RefCell<Pool>, most: usize) -> Option<Option<Connection>> {
    let mut state = pool.borrow_mut();
    match state.idle.pop() {
        Some(connection) => Some(Some(connection)),
        None if state.open == most => None,
        None => {
            state.open += 1;
            Some(None)
        }
    }
}

/// One request, and after it those that wait for its connection.
async fn serve(
    pool: Rc<RefCell<Pool>>,
    sender: Rc<Sender>,
    mut due: Instant,
    mut connection: Option<Connection>,
    patience: Duration,
) {
    loop {
        connection = sender.send(connection, due).await;
        drop_late(&pool, &sender, patience);
        let mut state = pool.borrow_mut();
        match state.waiting.pop_front() {
            Some(next) => due = next,
            None => {
                match connection {
                    Some(connection) => state.idle.push(connection),
                    None => state.open -= 1,
                }
                return;
            }
        }
    }
}

/// Drops those that have waited too long.
fn drop_late(pool: &RefCell<Pool>, sender: &Sender, patience: Duration) {
    let mut state = pool.borrow_mut();
    while state.waiting.front().is_some_and(|due| due.elapsed() > patience) {
        if let Some(due) = state.waiting.pop_front() {
            sender.recording().dropped(due);
        }
    }
}
