//! Whether a form was sent from one of our own pages (OWASP Cross-Site Request Forgery Prevention).

use crate::http::state::{Listener, Settings};
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
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

/// Whether an unsafe request comes from a page of this listener. For forms behind a sign-in: both headers must agree, as far as
/// they are sent, and one of them must be. Such pages send `Referrer-Policy: same-origin`, so that browsers without
/// `Sec-Fetch-Site` send their `Origin`.
pub fn is_same(headers: &HeaderMap, settings: &Settings) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let site = text("sec-fetch-site").map(|site| site == "same-origin");
    let origin = match text(ORIGIN.as_str()) {
        // Some browsers send it with forms of pages that send no referrer.
        Some("null") if site == Some(true) => None,
        Some(origin) => Some(is_ours(origin, headers, settings)),
        None => None,
    };
    site.unwrap_or(true) && origin.unwrap_or(true) && (site.is_some() || origin.is_some())
}

/// The console has no URL of its own in the configuration: operators may reach it through a tunnel.
fn is_ours(origin: &str, headers: &HeaderMap, settings: &Settings) -> bool {
    match settings.listener {
        Listener::Public => origin_of(origin).is_some_and(|origin| origin_of(&settings.public_url) == Some(origin)),
        Listener::Operators => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            origin.split_once("://").is_some_and(|(_, authority)| host == Some(authority))
        }
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

    #[test]
    fn forms_behind_a_sign_in_come_from_the_same_listener() {
        let same = |listener, headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_same(&map, &Settings::example(listener))
        };
        let public = |headers: &[(&'static str, &'static str)]| same(Listener::Public, headers);
        let ours = ("origin", "https://id.example.com");
        for accepted in [
            &[ours][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ours],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
        ] {
            assert!(public(accepted), "{accepted:?}");
        }
        for site in ["cross-site", "same-site", "none", "rubbish"] {
            assert!(!public(&[("sec-fetch-site", site), ours]), "{site}");
        }
        for origin in
            ["null", "https://evil.example", "http://id.example.com", "https://id.example.com:8443", "rubbish"]
        {
            assert!(!public(&[("origin", origin)]), "{origin}");
        }
        assert!(!public(&[]));
        assert!(!public(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]));
        let operators = |origin| same(Listener::Operators, &[("host", "127.0.0.1:8081"), ("origin", origin)]);
        assert!(operators("http://127.0.0.1:8081"));
        assert!(!operators("http://127.0.0.1:8080") && !operators("https://id.example.com") && !operators("null"));
    }
}
