//! The address of the client, also behind trusted proxies.

use actix_http::Request;
use actix_http::header::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// The address of the connection. If that is a trusted proxy: the right-most address in `X-Forwarded-For` that is not a
/// trusted proxy. Clients can write anything to the left of it.
pub fn address(request: &Request, trusted: &[IpNet]) -> IpAddr {
    let connection = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    forwarded(connection, request.head().headers(), trusted)
}

fn forwarded(connection: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = connection;
    // As bytes: invalid UTF-8 from the client on the left must not hide what a proxy wrote on the right.
    let lines: Vec<&[u8]> = headers.get_all("x-forwarded-for").map(HeaderValue::as_bytes).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(|&byte| byte == b','));
    while trusted.iter().any(|net| net.contains(&client)) {
        match hops.next().and_then(|hop| parse(hop.trim_ascii())) {
            Some(before) => client = before,
            None => break,
        }
    }
    client
}

/// Parses an address with or without a port. Some proxies add one.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?;
    let bare = hop.parse::<IpAddr>().ok().or_else(|| Some(hop.parse::<std::net::SocketAddr>().ok()?.ip()));
    bare.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderName;

    fn client(connection: &str, lines: &[&str]) -> String {
        client_of_bytes(connection, &lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>())
    }

    fn client_of_bytes(connection: &str, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line).expect("a value");
            headers.append(HeaderName::from_static("x-forwarded-for"), line);
        }
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a net"), "fd00::/8".parse().expect("a net")];
        forwarded(connection.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_go() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.9.9.9"]), "198.51.100.1");
        assert_eq!(client("fd00::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, rubbish"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn bytes_that_a_client_wrote_void_nothing_that_a_proxy_wrote() {
        assert_eq!(client_of_bytes("10.0.0.1", &[b"\xff\xfe, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client_of_bytes("10.0.0.1", &[b"\xe9", b"198.51.100.1, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(client_of_bytes("10.0.0.1", &[b"198.51.100.1, \xff"]), "10.0.0.1");
    }
}
