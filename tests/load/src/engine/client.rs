//! A client that costs little: requests are bytes made beforehand, answers are read as far as their end, and
//! connections are kept. HTTP/1.1, with TLS for https; no redirects and no proxy.

use super::answer::{self, Unreadable};
use crate::measure::Outcome;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

/// Where requests go.
#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    /// The value of `Host`, and what the URL has in front of every path.
    host: String,
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// A server without TLS.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, host: address.to_string(), prefix: String::new(), tls: None }
    }

    /// A server by its URL. With https its certificate is checked against those of the system (`SSL_CERT_FILE` replaces
    /// them).
    ///
    /// # Errors
    /// When the URL has no such form, or its host no address.
    pub fn of(url: &Url) -> Outcome<Self> {
        let name = url.host_str().ok_or("the URL has no host")?;
        let port = url.port_or_known_default().ok_or("the URL has no port")?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some((connector()?, ServerName::try_from(name.trim_matches(['[', ']']).to_owned())?)),
            other => return Err(format!("{other}: only http and https URLs can be measured").into()),
        };
        let address = (name.trim_matches(['[', ']']), port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| format!("{name} has no address"))?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Self { address, host, prefix: url.path().trim_end_matches('/').to_owned(), tls })
    }

    /// Appends a request with this credential and this form.
    pub fn request(&self, into: &mut Vec<u8>, method: &str, path: &str, bearer: Option<&str>, form: &str) {
        self.request_from(into, method, path, bearer, form, None);
    }

    /// As if a proxy had received it from this address.
    pub fn request_from(
        &self,
        into: &mut Vec<u8>,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        form: &str,
        from: Option<&str>,
    ) {
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| into.extend_from_slice(part.as_bytes()));
        put(&[method, " ", &self.prefix, path, " HTTP/1.1\r\nHost: ", &self.host, "\r\n"]);
        if let Some(bearer) = bearer {
            put(&["Authorization: Bearer ", bearer, "\r\n"]);
        }
        if let Some(from) = from {
            put(&["X-Forwarded-For: ", from, "\r\n"]);
        }
        if !form.is_empty() {
            let length = form.len().to_string();
            put(&["Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ", &length, "\r\n"]);
        }
        put(&["\r\n", form]);
    }
}

fn connector() -> Outcome<TlsConnector> {
    let mut roots = RootCertStore::empty();
    // Systems have certificates that rustls does not read.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// Why there was no answer.
#[derive(Debug)]
pub enum Failure {
    Connect(io::Error),
    /// The connection ended. If it was `idle` before, the server may have closed it before the request came.
    Ended {
        idle: bool,
    },
    Broken(io::Error),
    Unreadable(Unreadable),
}

impl Failure {
    fn ended(error: io::Error, idle: bool) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                Self::Ended { idle }
            }
            _ => Self::Broken(error),
        }
    }

    /// The kind, as results name it.
    pub fn kind(&self) -> String {
        match self {
            Self::Connect(error) => format!("not connected: {error}"),
            Self::Ended { .. } => "connection closed without an answer".to_owned(),
            Self::Broken(error) => format!("connection broken: {error}"),
            Self::Unreadable(reason) => reason.to_string(),
        }
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One kept connection.
pub struct Connection {
    wire: Wire,
    received: Vec<u8>,
    /// Of the last answer.
    head: Option<answer::Head>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`Failure::Connect`].
    pub async fn open(endpoint: &Endpoint) -> Result<Self, Failure> {
        let stream = TcpStream::connect(endpoint.address).await.map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let wire = match &endpoint.tls {
            None => Wire::Plain(stream),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(Failure::Connect)?;
                Wire::Tls(Box::new(stream))
            }
        };
        Ok(Self { wire, received: Vec::with_capacity(4096), head: None })
    }

    /// Whether the server has said that it closes the connection.
    pub fn closes(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.closes)
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        self.head.as_ref().map_or(b"", |head| &self.received[head.head..head.head + head.body])
    }

    /// Sends a request and reads its answer: the status.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or the answer cannot be read.
    pub async fn call(&mut self, request: &[u8]) -> Result<u16, Failure> {
        let idle = self.head.take().is_some();
        self.received.clear();
        let called = match &mut self.wire {
            Wire::Plain(stream) => call(stream, &mut self.received, request).await,
            Wire::Tls(stream) => call(stream, &mut self.received, request).await,
        };
        let head = called.map_err(|error| Failure::ended(error, idle))?.map_err(Failure::Unreadable)?;
        Ok(self.head.insert(head).status)
    }
}

async fn call<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    received: &mut Vec<u8>,
    request: &[u8],
) -> io::Result<Result<answer::Head, Unreadable>> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut known = None;
    loop {
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if known.is_none() {
            known = match answer::head(received) {
                Ok(head) => head,
                Err(unreadable) => return Ok(Err(unreadable)),
            };
        }
        if let Some(head) = known.take_if(|head| received.len() >= head.head + head.body) {
            return Ok(Ok(head));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_parts_of_its_url() {
        let endpoint = Endpoint::of(&Url::parse("http://127.0.0.1:8080/auth/").unwrap()).unwrap();
        let mut bytes = Vec::new();
        endpoint.request(&mut bytes, "PUT", "/api/v1/x", Some("T"), "a=1");
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "PUT /auth/api/v1/x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer T\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=1"
        );
        assert!(Endpoint::of(&Url::parse("ftp://127.0.0.1/").unwrap()).is_err());
    }
}
