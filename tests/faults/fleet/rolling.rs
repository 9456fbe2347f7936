//! Three nodes behind HAProxy, which repeats nothing, are restarted one after another under load: no request fails.

use super::{Fleet, PASSWORD, address};
use crate::http::{Answer, Cut, Kept, call};
use portcullis_testkit::haproxy::HaProxy;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually_blocking;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// One client: signs in, is checked a few times, and signs out, again and again.
struct Client<'a> {
    proxy: SocketAddr,
    user: i64,
    name: &'a str,
    /// Whether it keeps its connection to the proxy.
    keeps: bool,
    kept: Option<Kept>,
    done: &'a AtomicUsize,
}

impl Client<'_> {
    fn run(mut self, stopped: &AtomicBool) -> Result<(), String> {
        let form = format!("email={}&password={PASSWORD}", address(self.name));
        let sign_out = format!("/api/v1/tokens/{}", self.user);
        while !stopped.load(Ordering::SeqCst) {
            let token = self.ask("POST", "/api/v1/tokens", "", &form)?.text("token");
            for _ in 0..8 {
                self.ask("GET", "/api/v1/sessions/current", &token, "")?;
            }
            self.ask("DELETE", &sign_out, &token, "")?;
        }
        Ok(())
    }

    /// A request that must be answered 200.
    fn ask(&mut self, method: &str, path: &str, bearer: &str, form: &str) -> Result<Answer, String> {
        let answer = self.send(method, path, bearer, form).map_err(|cut| format!("{method} {path}: {cut:?}"))?;
        if answer.status != 200 {
            return Err(format!("{method} {path}: {} {}", answer.status, answer.body));
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(answer)
    }

    fn send(&mut self, method: &str, path: &str, bearer: &str, form: &str) -> Result<Answer, Cut> {
        if !self.keeps {
            return call(self.proxy, method, path, bearer, form);
        }
        let mut kept = self.kept.take().map_or_else(|| Kept::open(self.proxy), Ok)?;
        let answer = kept.call(method, path, bearer, form)?;
        self.kept = Some(kept).filter(|_| !answer.closes());
        Ok(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_behind_a_proxy_fails_no_request() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url()).with("server.drain_secs", "2");
    let clients = ["ada", "grace", "edith", "joan"].map(|name| (name, fleet.user(name)));
    let mut nodes = ["a", "b", "c"].map(|name| (name, fleet.start(name)));
    let proxy = HaProxy::start(&nodes.each_ref().map(|(_, node)| node.address())).await;
    let (done, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let answered = |more: usize| {
        let before = done.load(Ordering::SeqCst);
        let enough = || done.load(Ordering::SeqCst) >= before + more || stopped.load(Ordering::SeqCst);
        eventually_blocking("requests are answered", enough);
    };

    let ends: Vec<Result<(), String>> = thread::scope(|scope| {
        let run = |(at, (name, user)): (usize, &(&'static str, i64))| {
            let (user, keeps) = (*user, at % 2 == 0);
            let client = Client { proxy: proxy.address, user, name, keeps, kept: None, done: &done };
            let stopped = &stopped;
            scope.spawn(move || {
                let end = client.run(stopped);
                // One failure is enough.
                stopped.store(true, Ordering::SeqCst);
                end
            })
        };
        let clients: Vec<_> = clients.iter().enumerate().map(run).collect();
        for (at, (name, node)) in nodes.iter_mut().enumerate() {
            if stopped.load(Ordering::SeqCst) {
                break;
            }
            answered(100);
            node.terminate().expect("it runs");
            let (status, took) = node.ended();
            assert!(status.success(), "{name}: {status}");
            let next = fleet.start(name);
            proxy.moved(at, next.address());
            *node = next;
            let up = || proxy.stat(&format!("n{at}"), "status") == "UP";
            eventually_blocking("the proxy uses it again", up);
            println!("{name} ended {took:?} after SIGTERM and is back");
        }
        answered(100);
        stopped.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    let failed: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for hidden in ["econ", "eresp", "wretr", "wredis"] {
        assert_eq!(proxy.stat("BACKEND", hidden), "0", "{hidden}");
    }
    println!("{} requests, none failed", done.into_inner());
}
