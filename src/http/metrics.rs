//! What one worker counts of its requests: by route, method and status. A request finds its counters by two small numbers.

use super::Route;
use actix_web::http::Method;
use portcullis_actors::metrics::{Counter, Histogram};
use std::time::Duration;

/// The methods that are counted apart, and all others.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// The statuses that this server gives, the most frequent ones first, and all others. 499 and 500 stand for requests that
/// have no answer: the client hung up, or the handler panicked.
pub const STATUSES: [&str; 18] = [
    "200", "401", "503", "204", "400", "403", "404", "405", "406", "410", "413", "415", "422", "429", "499", "500",
    "501", "other",
];
/// The same as numbers.
const NUMBERS: [u16; STATUSES.len() - 1] =
    [200, 401, 503, 204, 400, 403, 404, 405, 406, 410, 413, 415, 422, 429, 499, 500, 501];

/// Where the paths begin that programs call. All others are pages and what belongs to them.
const PROGRAMS: [&str; 4] = ["/api/", "/gateway/", "/health/", "/callbacks/"];

/// The requests of one worker.
#[derive(Debug)]
pub struct HttpMetrics {
    /// In the order of [`Route::ALL`], and then those of paths that the server does not know.
    routes: Vec<[RequestMetrics; METHODS.len()]>,
}

/// The requests of one route with one method.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    /// In the order of [`STATUSES`].
    pub answers: [Counter; STATUSES.len()],
    /// From the head of the request to the head of the answer, or to its end without one.
    pub durations: Histogram,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self { routes: (0..=Route::ALL.len()).map(|_| Default::default()).collect() }
    }
}

impl HttpMetrics {
    /// Counts a request that has ended. `None` is a path that the server does not know.
    pub(super) fn record(&self, route: Option<Route>, method: &Method, status: u16, took: Duration) {
        let method = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::PATCH => 4,
            Method::DELETE => 5,
            Method::OPTIONS => 6,
            _ => 7,
        };
        let requests = &self.routes[route.map_or(Route::ALL.len(), |route| route as usize)][method];
        let status = NUMBERS.iter().position(|number| *number == status).unwrap_or(NUMBERS.len());
        requests.answers[status].add();
        requests.durations.record(took);
    }

    /// Whether programs call a route with this method of [`METHODS`]. Its counters are shown before the first request; those
    /// of pages, of other methods and of HEAD only after one.
    pub fn is_expected(route: Option<Route>, method: &str) -> bool {
        match route {
            Some(route) => {
                PROGRAMS.iter().any(|start| route.pattern().starts_with(start))
                    && route.verbs().iter().any(|verb| verb.allow().split(',').next() == Some(method))
            }
            None => matches!(method, "GET" | "POST"),
        }
    }

    /// The requests of a route, one for each of [`METHODS`].
    pub fn of(&self, route: Option<Route>) -> &[RequestMetrics; METHODS.len()] {
        &self.routes[route.map_or(Route::ALL.len(), |route| route as usize)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::Code;

    #[test]
    fn every_request_has_its_own_counter() {
        let metrics = HttpMetrics::default();
        let methods =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        for (method, name) in methods.into_iter().zip(METHODS) {
            assert_eq!(method.as_str(), name);
            for route in Route::ALL.iter().map(|route| Some(*route)).chain([None]) {
                for (number, _) in NUMBERS.iter().zip(STATUSES) {
                    metrics.record(route, &method, *number, Duration::ZERO);
                }
            }
        }
        metrics.record(None, &Method::TRACE, 418, Duration::ZERO);
        let counts = |route, method: usize| metrics.of(route)[method].answers.each_ref().map(Counter::get);
        for (at, route) in Route::ALL.iter().enumerate() {
            assert_eq!(*route as usize, at);
            let [ends @ .., other] = counts(Some(*route), 3);
            assert!(other == 0 && ends.iter().all(|count| *count == 1), "{}", route.pattern());
        }
        assert_eq!(counts(None, 7)[STATUSES.len() - 1], 1);
    }

    #[test]
    fn the_statuses_are_those_of_the_code() {
        for (number, name) in NUMBERS.iter().zip(STATUSES) {
            assert_eq!(number.to_string(), name);
        }
        for code in Code::ALL {
            assert!(NUMBERS.contains(&code.status().as_u16()), "{} is counted as other", code.as_str());
        }
    }
}
