//! Whether a form was sent from one of our own pages (OWASP Cross-Site Request Forgery Prevention).

use actix_web::http::header::{HeaderMap, ORIGIN};
use url::{Origin, Url};

/// Whether a POST with these headers comes from a page of `public_url`.
///
/// A page with `Referrer-Policy: no-referrer` posts its form with `Origin: null` (Fetch, "append a request `Origin`
/// header"). Then only `Sec-Fetch-Site`, which no page can set, shows where the form came from. Browsers that do not send
/// it (Safari before 16.4) are accepted: the form's URL holds a secret token, so other sites cannot post to it.
pub fn is_own(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let site = text("sec-fetch-site");
    match text(ORIGIN.as_str()) {
        None => site == Some("same-origin"),
        Some("null") => site.is_none_or(|site| site == "same-origin"),
        Some(origin) => origin_of(origin).is_some_and(|origin| origin_of(public_url) == Some(origin)),
    }
}

/// Scheme, host and port (RFC 6454 §4).
fn origin_of(url: &str) -> Option<Origin> {
    Url::parse(url).ok().map(|url| url.origin()).filter(Origin::is_tuple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        is_own(&map, "https://ID.example.com/base/")
    }

    #[test]
    fn our_own_pages_are_told_from_others() {
        assert!(own(&[("origin", "https://id.example.com")]));
        assert!(own(&[("origin", "https://id.example.com:443")]));
        assert!(own(&[("origin", "null"), ("sec-fetch-site", "same-origin")]));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(!own(&[]));
        assert!(own(&[("origin", "null")]));
        assert!(!own(&[("origin", "null"), ("sec-fetch-site", "cross-site")]));
        assert!(!own(&[("origin", "null"), ("sec-fetch-site", "same-site")]));
        assert!(!own(&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")]));
        assert!(!own(&[("origin", "http://id.example.com")]));
        assert!(!own(&[("origin", "https://id.example.com:8443")]));
        assert!(!own(&[("origin", "rubbish"), ("sec-fetch-site", "same-origin")]));
    }
}
