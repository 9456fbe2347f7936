//! What the server itself counts: `/metrics` at `admin.bind`. The client's latencies contain the client; these do not.

use crate::engine::client::{Connection, Endpoint};
use crate::measure::Outcome;
use crate::target::Target;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The setting of a server that has them.
pub const ON: (&str, &str) = ("admin.bind", "127.0.0.1:0");

/// Where they are.
#[derive(Clone)]
pub struct Metrics(Endpoint);

impl Metrics {
    /// Of a server that was started with [`ON`].
    ///
    /// # Errors
    /// When it has not said where they are.
    pub fn of(target: &Target) -> Outcome<Self> {
        let url = target.own.as_ref().and_then(|own| {
            // The line comes after the one that tells where the API is.
            (0..100).find_map(|_| {
                let log = std::fs::read_to_string(own.setup.log()).ok()?;
                let url =
                    log.lines().rev().find_map(|line| line.strip_prefix("Metrics: http://")?.strip_suffix("/metrics"));
                url.map(str::to_owned).or_else(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    None
                })
            })
        });
        Ok(Self(Endpoint::at(url.ok_or("the server did not say where its metrics are")?.parse()?)))
    }

    /// All of them.
    ///
    /// # Errors
    /// When they are not answered.
    pub async fn read(&self) -> Outcome<String> {
        let mut request = Vec::new();
        self.0.request(&mut request, "GET", "/metrics", None, "");
        let mut connection = Connection::open(&self.0).await.map_err(|failure| failure.kind())?;
        connection.call(&request).await.map_err(|failure| failure.kind())?;
        Ok(String::from_utf8(connection.body().to_vec())?)
    }

    /// Reads them every second until it is dropped, as often as Prometheus ever does.
    pub fn scraped(self, runtime: &Runtime) -> Scraped {
        Scraped(runtime.spawn(async move {
            loop {
                // A server that is gone is noticed by the load.
                let _ = self.read().await.map_err(|error| error.to_string());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }))
    }
}

/// Ends when dropped.
pub struct Scraped(JoinHandle<()>);

impl Drop for Scraped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The bound in milliseconds that 99 % of the checks between these two texts were answered within; none without checks.
pub fn p99_of_checks_ms(before: &str, after: &str) -> Option<f64> {
    let [before, after] = [before, after].map(buckets);
    let up_to = |bound: f64| before.iter().find(|(other, _)| *other == bound).map_or(0, |(_, count)| *count);
    let between: Vec<_> = after.iter().map(|(bound, count)| (*bound, count - up_to(*bound))).collect();
    let all = between.last()?.1;
    let enough = between.into_iter().find(|(_, count)| all > 0 && *count as f64 >= 0.99 * all as f64);
    enough.map(|(bound, _)| bound * 1e3)
}

/// The upper bounds in seconds, and how many checks were answered within each.
fn buckets(text: &str) -> Vec<(f64, u64)> {
    let of_checks = text.lines().filter_map(|line| {
        let labels = line.strip_prefix("portcullis_http_request_duration_seconds_bucket{")?;
        let is_check = labels.contains("route=\"/api/v1/sessions/current\"") && labels.contains("method=\"GET\"");
        let (labels, count) = is_check.then_some(labels)?.split_once("} ")?;
        let bound = labels.split_once("le=\"")?.1.split('"').next()?;
        Some((bound.parse().ok()?, count.parse().ok()?))
    });
    of_checks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_checks_between() {
        let text = |counts: [u64; 3]| {
            let line = |route: &str, bound: &str, count: u64| {
                let name = "portcullis_http_request_duration_seconds_bucket";
                format!("{name}{{route=\"{route}\",method=\"GET\",le=\"{bound}\"}} {count}\n")
            };
            let bounds = ["0.001", "0.005", "+Inf"];
            let of =
                |route: &str| bounds.iter().zip(counts).map(|(bound, n)| line(route, bound, n)).collect::<String>();
            of("/api/v1/sessions/current") + &of("/api/v1/sessions").replace("} ", "} 9")
        };
        let before = text([1_000, 1_000, 1_000]);
        assert_eq!(p99_of_checks_ms(&before, &text([1_099, 1_100, 1_100])), Some(1.0));
        assert_eq!(p99_of_checks_ms(&before, &text([1_098, 1_100, 1_100])), Some(5.0));
        assert_eq!(p99_of_checks_ms(&before, &text([1_098, 1_098, 1_100])), Some(f64::INFINITY));
        assert_eq!(p99_of_checks_ms(&before, &before), None);
        assert_eq!(p99_of_checks_ms("", ""), None);
    }
}
