//! CORS (Fetch §3.3): which origins may read the API from a browser, including errors and preflight requests.
//! Credentials are not allowed, because the API reads no cookies.

use actix_http::Request;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};

const API: &str = "/api/v1/";
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, X-Request-Id");
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, X-Request-Id");
/// How long a browser may cache a preflight answer, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The allowed origins.
#[derive(Debug)]
pub struct Cors(Vec<HeaderValue>);

/// What CORS says about a request.
#[derive(Debug)]
pub enum CorsRequest {
    /// It is not for the API, or no origin is allowed.
    Irrelevant,
    /// It has no allowed origin. `Vary` tells caches that answers differ by origin.
    OtherOrigin,
    /// It comes from this allowed origin.
    Allowed(HeaderValue),
    /// A preflight request for this allowed origin.
    Preflight(HeaderValue),
}

impl Cors {
    /// For these origins, written as browsers send them.
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    pub fn classify(&self, request: &Request) -> CorsRequest {
        if self.0.is_empty() || !request.path().starts_with(API) {
            return CorsRequest::Irrelevant;
        }
        let headers = request.head().headers();
        match headers.get(ORIGIN).filter(|origin| self.0.contains(origin)).cloned() {
            None => CorsRequest::OtherOrigin,
            Some(origin)
                if request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) =>
            {
                CorsRequest::Preflight(origin)
            }
            Some(origin) => CorsRequest::Allowed(origin),
        }
    }
}

impl CorsRequest {
    /// Adds the CORS headers to an answer.
    pub fn add_headers(self, headers: &mut HeaderMap) {
        let origin = match self {
            Self::Irrelevant => return,
            Self::OtherOrigin => None,
            Self::Allowed(origin) => {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
                Some(origin)
            }
            Self::Preflight(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
                headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
                Some(origin)
            }
        };
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
