//! Which handler answers a request: by the path, without the suffix `.json`, and the method. The table is in `mod.rs`.

use super::endpoint::Endpoint;
use super::error::{Code, Problem};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::Url;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use std::ops::Range;

/// What a handler returns.
pub type Answer = Result<HttpResponse, Problem>;

/// The answer of a handler that is at work.
pub type Pending<'a> = LocalBoxFuture<'a, Answer>;

/// 200 with this value as JSON.
pub fn json(value: &impl Serialize) -> Answer {
    let mut body = Vec::with_capacity(256);
    serde_json::to_writer(&mut body, value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::overloaded()
    })?;
    let mut answer = HttpResponse::with_body(StatusCode::OK, BoxBody::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// `{"message": text}` with the declared text: the answer of calls that return no data.
pub fn message(endpoint: &Endpoint) -> Answer {
    json(&serde_json::json!({ "message": endpoint.message() }))
}

/// Declares the routes: `Name "/path/{parameter}" { GET handler = ENDPOINT, … }`. Pages have no endpoint. Of two routes that
/// match a path, the first one counts. `{name...}` at the end of a path is all that follows: any number of segments, or
/// nothing.
macro_rules! routes {
    ($($name:ident $pattern:literal { $($method:ident $handler:path $(= $endpoint:path)?),+ $(,)? })+) => {
        /// A path that the server knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Route {
            $(#[doc = $pattern] $name,)+
        }

        impl Route {
            /// All routes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The path, with the name of its parameter in braces.
            pub const fn pattern(self) -> &'static str {
                match self {
                    $(Self::$name => $pattern,)+
                }
            }

            /// The methods of a path.
            pub const fn verbs(self) -> &'static [$crate::http::route::Verb] {
                use $crate::http::route::Verb;
                match self {
                    $(Self::$name => &[$(Verb::$method),+],)+
                }
            }

            /// The handler of the request's method at work. Other methods are refused with the list of supported ones
            /// (RFC 9110 §15.5.6).
            fn handle<'a>(self, state: &'a AppState, call: Call<'a>) -> $crate::http::route::Pending<'a> {
                use $crate::http::route::Verb;
                match self {
                    $(Self::$name => {
                        $(if Verb::$method.is(call.method()) {
                            return Box::pin($handler(state, call));
                        })+
                        Box::pin(async { Err($crate::http::route::method_not_allowed(&[$(Verb::$method),+])) })
                    })+
                }
            }
        }

        /// The calls of the API, in the order of the table.
        pub static OPERATIONS: &[Operation] = &[$($($(Operation {
            route: Route::$name,
            verb: $crate::http::route::Verb::$method,
            endpoint: &$endpoint,
        },)?)+)+];

        static PATTERNS: &[$crate::http::route::Pattern] = &[$($crate::http::route::Pattern::new($pattern)),+];
    };
}
pub(super) use routes;

/// A method of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// With HEAD, which is the same without the content (RFC 9110 §9.3.2).
    GET,
    POST,
    PUT,
    /// RFC 5789.
    PATCH,
    DELETE,
    /// Every method, also those that this server does not know: of requests to others, about which a proxy asks.
    ANY,
}

impl Verb {
    pub fn is(self, method: &Method) -> bool {
        match self {
            Self::GET => method == Method::GET || method == Method::HEAD,
            Self::POST => method == Method::POST,
            Self::PUT => method == Method::PUT,
            Self::PATCH => method == Method::PATCH,
            Self::DELETE => method == Method::DELETE,
            Self::ANY => true,
        }
    }

    /// The method; that of `GET` is not `HEAD`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GET => "GET",
            Self::POST => "POST",
            Self::PUT => "PUT",
            Self::PATCH => "PATCH",
            Self::DELETE => "DELETE",
            Self::ANY => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        }
    }

    pub const fn allow(self) -> &'static str {
        match self {
            Self::GET => "GET, HEAD",
            other => other.as_str(),
        }
    }
}

pub fn method_not_allowed(verbs: &[Verb]) -> Problem {
    let allow = verbs.iter().map(|verb| verb.allow()).collect::<Vec<_>>().join(", ");
    Problem {
        headers: HeaderValue::try_from(allow).map(|allow| vec![(ALLOW, allow)]).unwrap_or_default(),
        ..Problem::new(Code::MethodNotAllowed, "The Allow header lists the methods of this path.")
    }
}

/// A pattern, cut at its parameter. There is at most one, and it is a whole segment or the rest of the path; another pattern
/// does not compile.
pub struct Pattern {
    before: &'static str,
    rest: Rest,
}

/// What follows `before`.
#[derive(Clone, Copy)]
enum Rest {
    Nothing,
    /// One segment, and then this.
    Segment(&'static str),
    /// Anything.
    Tail,
}

impl Pattern {
    pub const fn new(pattern: &'static str) -> Self {
        let bytes = pattern.as_bytes();
        let mut open = 0;
        while open < bytes.len() && bytes[open] != b'{' {
            open += 1;
        }
        if open == bytes.len() {
            return Self { before: pattern, rest: Rest::Nothing };
        }
        let mut close = open;
        while bytes[close] != b'}' {
            close += 1;
        }
        assert!(open > 0 && bytes[open - 1] == b'/' && (close + 1 == bytes.len() || bytes[close + 1] == b'/'));
        let mut rest = close + 1;
        while rest < bytes.len() {
            assert!(bytes[rest] != b'{' && bytes[rest] != b'}');
            rest += 1;
        }
        let before = pattern.split_at(open).0;
        if bytes[close - 1] == b'.' {
            assert!(close + 1 == bytes.len() && bytes[close - 2] == b'.' && bytes[close - 3] == b'.');
            return Self { before, rest: Rest::Tail };
        }
        Self { before, rest: Rest::Segment(pattern.split_at(close + 1).1) }
    }

    fn matches(&self, path: &str) -> bool {
        match self.rest {
            Rest::Nothing => path == self.before,
            Rest::Segment(after) => {
                let parameter = path.strip_prefix(self.before).and_then(|rest| rest.strip_suffix(after));
                parameter.is_some_and(|text| !text.is_empty() && !text.contains('/'))
            }
            Rest::Tail => path.starts_with(self.before),
        }
    }

    /// The place of the parameter in a path as it was sent. Slashes are the same there.
    fn parameter(&self, sent: &str) -> Range<usize> {
        if let Rest::Nothing = self.rest {
            return 0..0;
        }
        let slashes = self.before.bytes().filter(|&byte| byte == b'/').count();
        let mut ends = sent.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at).skip(slashes - 1);
        let begin = ends.next().map_or(sent.len(), |slash| slash + 1);
        let end = if let Rest::Tail = self.rest { None } else { ends.next() };
        begin..end.unwrap_or(sent.len())
    }
}

/// The first of `patterns` that matches a path, and the place of its parameter in the path. `None` if there is none.
pub fn find(patterns: &[Pattern], path: &str) -> Option<(usize, Range<usize>)> {
    let mut decoded = None;
    let plain = if path.contains('%') { decoded.insert(Url::new(Uri::try_from(path).ok()?)).path() } else { path };
    let (at, pattern) = patterns.iter().enumerate().find(|(_, pattern)| pattern.matches(plain))?;
    Some((at, pattern.parameter(path)))
}

/// An API path without the suffix at its end, and the refusal of any suffix but `.json`. Other paths keep theirs.
pub fn without_suffix(path: &str) -> (&str, Result<(), Problem>) {
    let Some(resource) = path.strip_prefix("/api/v1/") else { return (path, Ok(())) };
    // The last segment is a device token here, and it may contain dots.
    if resource.starts_with("devices/") {
        return (path, Ok(()));
    }
    let last = resource.rsplit('/').next().unwrap_or_default();
    let Some((_, suffix)) = last.rsplit_once('.') else { return (path, Ok(())) };
    let format = match suffix {
        "json" => Ok(()),
        _ => Err(Problem::new(Code::NotAcceptable, "The only supported suffix is .json.")),
    };
    (&path[..path.len() - suffix.len() - 1], format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_an_api_path_requests_a_format() {
        for (sent, path, is_json) in [
            ("/api/v1/tokens", "/api/v1/tokens", true),
            ("/api/v1/tokens.json", "/api/v1/tokens", true),
            ("/api/v1/tokens/1.json", "/api/v1/tokens/1", true),
            ("/api/v1/tokens.xml", "/api/v1/tokens", false),
            ("/api/v1/tokens.", "/api/v1/tokens", false),
            ("/api/v1/tokens.json.xml", "/api/v1/tokens.json", false),
            ("/api/v1/devices.json", "/api/v1/devices", true),
            ("/api/v1/devices/a.json", "/api/v1/devices/a.json", true),
            ("/dev/inbox.json", "/dev/inbox.json", true),
            ("/gateway/envoy/api/v1/contacts.xml", "/gateway/envoy/api/v1/contacts.xml", true),
        ] {
            let (found, format) = without_suffix(sent);
            assert_eq!((found, format.is_ok()), (path, is_json), "{sent}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_match_is_refused() {
        for pattern in ["/a/{b}/{c}", "/a/{b}c", "/a/b{c}", "{a}", "/a/{b", "/a/{b}/c}", "/a/{b...}/c", "/a/{b..}"] {
            assert!(std::panic::catch_unwind(|| Pattern::new(pattern)).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_path_leads_to_its_pattern_and_its_parameter() {
        const PATTERNS: &[Pattern] = &[
            Pattern::new("/api/v1/users"),
            Pattern::new("/api/v1/users/{id}"),
            Pattern::new("/api/v1/users/{id}/devices"),
            Pattern::new("/gateway/{path...}"),
        ];
        let found = |path: &'static str| find(PATTERNS, path).map(|(at, parameter)| (at, &path[parameter]));
        assert_eq!(found("/api/v1/users"), Some((0, "")));
        assert_eq!(found("/api/v1/%75sers"), Some((0, "")));
        assert_eq!(found("/api/v1/users/a%2Fb"), Some((1, "a%2Fb")));
        assert_eq!(found("/api/v1/users/%61"), Some((1, "%61")));
        assert_eq!(found("/api/v1/%75sers/%FF/devices"), Some((2, "%FF")));
        for rest in ["", "/", "a", "a/b.xml", "..", "../../api/v1/users", "%2e%2E/a%2Fb//", "%FF", "%zz", "gateway/"] {
            let path: &'static str = format!("/gateway/{rest}").leak();
            assert_eq!(found(path), Some((3, rest)), "{path}");
        }
        assert_eq!(found("/gatewa%79/a/%61"), Some((3, "a/%61")));
        for unknown in [
            "/",
            "/api/v1",
            "/api/v1/users/",
            "/api/v1//users",
            "/api/v1/users//devices",
            "/api/v1/users/1/2/devices",
            "/gateway",
            "/gateway%2Fa",
        ] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}
