//! When a message may leave without TLS: to this machine, or if the operator allows it.

use reqwest::Url;

/// Why a transport must not use this URL: it leads to another host without TLS.
pub fn plaintext_fault(url: &Url, allowed: bool) -> Option<&'static str> {
    let encrypted = match url.scheme() {
        "smtp" => url.query_pairs().any(|(key, value)| key == "tls" && value == "required"),
        scheme => scheme != "http",
    };
    let harmless = encrypted || allowed || is_loopback(url.host_str().unwrap_or_default());
    (!harmless).then_some("must use TLS to another host (https://, smtps:// or ?tls=required), or set allow_plaintext")
}

/// Whether a host is this machine: `localhost` or a loopback address.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"].iter().all(|host| is_loopback(host)));
        assert!(!["example.com", "10.0.0.1", "localhost.example.com", ""].iter().any(|host| is_loopback(host)));
    }

    #[test]
    fn plain_text_needs_permission_to_another_host() {
        let refused = |url: &str| plaintext_fault(&url.parse().expect("a URL"), false).is_some();
        for url in
            ["smtp://127.0.0.1:1025", "http://localhost:1/x", "smtp://[::1]:25", "smtps://m.example", "https://x.y"]
        {
            assert!(!refused(url), "{url}");
        }
        for url in [
            "smtp://10.0.0.1",
            "http://localhost.example.com",
            "smtp://127.0.0.1.evil.com",
            "smtp://m.example?tls=opportunistic",
        ] {
            assert!(refused(url), "{url}");
            assert_eq!(plaintext_fault(&url.parse().expect("a URL"), true), None, "{url}");
        }
    }
}
