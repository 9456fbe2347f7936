//! Whether a form was sent from one of our own pages (OWASP Cross-Site Request Forgery Prevention), and whether a request
//! was meant for this server at all.

use crate::http::state::{Listener, Settings};
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::http::uri::Authority;
use std::net::IpAddr;
use url::{Host, Origin, Url};

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
        Some(origin) => is_public(origin, public_url),
    }
}

/// Whether `Host` names this server: by an address, as this machine, or on the public listener by the public URL. A site
/// whose name was made to resolve to our address (DNS rebinding) has its own name there, and would pass as our own page.
pub fn is_ours_by_name(headers: &HeaderMap, settings: &Settings) -> bool {
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    host.is_some_and(|authority| {
        let host = authority.host();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_public = || {
            let url = Url::parse(&settings.public_url).ok();
            settings.listener == Listener::Public
                && url.is_some_and(|url| url.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host)))
        };
        is_address || is_localhost(host) || is_public()
    })
}

/// The names of this machine itself (RFC 6761 §6.3), which browsers look up nowhere.
fn is_localhost(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
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
        Listener::Public => is_public(origin, &settings.public_url),
        Listener::Operators => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            origin.split_once("://").is_some_and(|(_, authority)| host == Some(authority))
        }
    }
}

/// Whether an origin is that of `public_url`. The names of this machine are the same one: who develops at
/// `http://127.0.0.1:8080` also opens `http://localhost:8080`.
fn is_public(origin: &str, public_url: &str) -> bool {
    let is_loopback = |host: &Host| match host {
        Host::Domain(name) => is_localhost(name),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    match (origin_of(origin), origin_of(public_url)) {
        (Some(Origin::Tuple(scheme, host, port)), Some(Origin::Tuple(own_scheme, own_host, own_port))) => {
            (scheme, port) == (own_scheme, own_port)
                && (host == own_host || (is_loopback(&host) && is_loopback(&own_host)))
        }
        _ => false,
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

    #[test]
    fn the_names_of_this_machine_are_one_origin() {
        for own in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
            for other in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
                assert!(is_public(other, own), "{other} is not {own}");
                assert!(!is_public(other, "http://10.0.0.1:8080") && !is_public(other, "http://id.example.com:8080"));
            }
            for other in ["http://localhost:8081", "https://localhost:8080", "http://localhost.evil.example:8080"] {
                assert!(!is_public(other, own), "{other} is {own}");
            }
        }
    }

    #[test]
    fn a_name_that_was_made_to_resolve_to_us_is_not_ours() {
        let ours = |listener, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            is_ours_by_name(&headers, &Settings::example(listener))
        };
        for listener in [Listener::Public, Listener::Operators] {
            for host in ["127.0.0.1:8081", "10.1.2.3", "[::1]:8081", "[fd00::1]", "LocalHost:8081", "a.localhost"] {
                assert!(ours(listener, host), "{host}");
            }
            for host in
                ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"]
            {
                assert!(!ours(listener, host), "{host}");
            }
            assert!(!is_ours_by_name(&HeaderMap::new(), &Settings::example(listener)));
        }
        assert!(ours(Listener::Public, "ID.example.com") && !ours(Listener::Operators, "id.example.com"));
    }
}
