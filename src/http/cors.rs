//! Which pages of other origins a browser lets read the API (Fetch §3.3), errors and preflight included. Never with
//! credentials: there are no cookies to send. Knows no endpoint.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};

/// Where the API is; nothing else is for other pages to read.
const API: &str = "/api/v1/";
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, X-Request-Id");
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, X-Request-Id");
/// How long a browser may remember a preflight's answer: an hour.
const AN_HOUR: HeaderValue = HeaderValue::from_static("3600");

/// The origins that are let in.
#[derive(Debug)]
pub struct Cors(Vec<HeaderValue>);

/// What a request is to a browser's rules.
#[derive(Debug)]
pub enum Asked {
    /// Nothing to do with them, or nobody is let in.
    Nothing,
    /// It comes from no origin that is let in. Caches must know that another origin's answer would differ.
    Stranger,
    /// It comes from this origin.
    Request(HeaderValue),
    /// A browser asks for this origin what it may ask.
    Preflight(HeaderValue),
}

impl Cors {
    /// For these origins, each as browsers write it.
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    /// What this request is.
    pub fn asked(&self, request: &ServiceRequest) -> Asked {
        if self.0.is_empty() || !request.path().starts_with(API) {
            return Asked::Nothing;
        }
        let headers = request.headers();
        match headers.get(ORIGIN).filter(|origin| self.0.contains(origin)).cloned() {
            None => Asked::Stranger,
            Some(origin)
                if request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) =>
            {
                Asked::Preflight(origin)
            }
            Some(origin) => Asked::Request(origin),
        }
    }
}

impl Asked {
    /// Puts into an answer what the browser must know.
    pub fn tell(self, headers: &mut HeaderMap) {
        let origin = match self {
            Self::Nothing => return,
            Self::Stranger => None,
            Self::Request(origin) => {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
                Some(origin)
            }
            Self::Preflight(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
                headers.insert(ACCESS_CONTROL_MAX_AGE, AN_HOUR);
                Some(origin)
            }
        };
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
