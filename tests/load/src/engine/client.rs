//! A client that costs little: requests are bytes made beforehand, answers are read as far as their end, and
//! connections are kept. HTTP/1.1, with TLS for https; no redirects and no proxy.

use super::answer::{self, Body, Head, Unreadable};
use crate::measure::Outcome;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

/// Where requests go.
#[derive(Clone)]
pub struct Endpoint {
    /// All of its name: `localhost` has two, and a server may listen on the second.
    addresses: Vec<SocketAddr>,
    /// The value of `Host`, and what the URL has in front of every path.
    host: String,
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// A server without TLS.
    pub fn at(address: SocketAddr) -> Self {
        Self { addresses: vec![address], host: address.to_string(), prefix: String::new(), tls: None }
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
        let addresses: Vec<_> = (name.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .map_err(|error| format!("{name}: {error}"))?
            .collect();
        if addresses.is_empty() {
            return Err(format!("{name} has no address").into());
        }
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Self { addresses, host, prefix: url.path().trim_end_matches('/').to_owned(), tls })
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
    /// The server had closed the idle connection before the request came: nothing was done.
    WasClosed,
    /// The connection ended without an answer; what was done is unknown.
    Ended,
    Broken(io::Error),
    Unreadable(Unreadable),
}

impl Failure {
    /// `unused`: the connection had been idle, and nothing came in answer to the request.
    fn ended(error: io::Error, unused: bool) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof if unused => {
                Self::WasClosed
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Broken(error),
        }
    }

    /// The kind, as results name it.
    pub fn kind(&self) -> String {
        match self {
            Self::Connect(error) => format!("not connected: {error}"),
            Self::WasClosed | Self::Ended => "connection closed without an answer".to_owned(),
            Self::Broken(error) => format!("connection broken: {error}"),
            Self::Unreadable(reason) => reason.to_string(),
        }
    }
}

/// A connection that was already closed says so at once. One that ends later may end in the middle of the work.
const AT_ONCE: Duration = Duration::from_millis(20);

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One kept connection.
pub struct Connection {
    wire: Wire,
    received: Vec<u8>,
    /// Of the last answer.
    head: Option<Head>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`Failure::Connect`].
    pub async fn open(endpoint: &Endpoint) -> Result<Self, Failure> {
        let stream = TcpStream::connect(&endpoint.addresses[..]).await.map_err(Failure::Connect)?;
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
        match &self.head {
            Some(Head { head, body: Body::Length(length), .. }) => &self.received[*head..head + length],
            _ => b"",
        }
    }

    /// Sends a request and reads its answer: the status.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or the answer cannot be read.
    pub async fn call(&mut self, request: &[u8]) -> Result<u16, Failure> {
        let idle = self.head.take().is_some();
        self.received.clear();
        let sent = Instant::now();
        let called = match &mut self.wire {
            Wire::Plain(stream) => call(stream, &mut self.received, request).await,
            Wire::Tls(stream) => call(stream, &mut self.received, request).await,
        };
        let unused = idle && self.received.is_empty() && sent.elapsed() < AT_ONCE;
        let head = called.map_err(|error| Failure::ended(error, unused))?.map_err(Failure::Unreadable)?;
        Ok(self.head.insert(head).status)
    }
}

async fn call<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    received: &mut Vec<u8>,
    request: &[u8],
) -> io::Result<Result<Head, Unreadable>> {
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
        let Some(head) = &mut known else { continue };
        let whole = match head.body {
            Body::Length(length) => received.len() >= head.head + length,
            Body::Chunked => match answer::join_chunks(received, head.head) {
                Ok(joined) => joined.map(|length| head.body = Body::Length(length)).is_some(),
                Err(unreadable) => return Ok(Err(unreadable)),
            },
        };
        if let Some(head) = known.take_if(|_| whole) {
            return Ok(Ok(head));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// What the second call on a connection comes to, when the server has answered the first like this and then does that.
    fn second_call(first: &'static str, then: fn(std::net::TcpStream)) -> (Result<u16, Failure>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::at(listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 64]).unwrap();
            stream.write_all(first.as_bytes()).unwrap();
            then(stream);
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = runtime.block_on(async {
            let mut connection = Connection::open(&endpoint).await.ok().unwrap();
            assert_eq!(connection.call(b"one").await.unwrap(), 200);
            let body = String::from_utf8(connection.body().to_vec()).unwrap();
            (connection.call(b"two").await, body)
        });
        served.join().unwrap();
        done
    }

    const FIRST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn only_a_connection_that_was_closed_before_counts_as_unused() {
        // On a busy machine even that may take a while.
        let mut calls = std::iter::repeat_with(|| second_call(FIRST, drop).0).take(50);
        assert!(calls.any(|call| matches!(call, Err(Failure::WasClosed))));
        let (in_mid_answer, _) = second_call(FIRST, |mut stream| {
            let _ = stream.read(&mut [0; 64]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        });
        assert!(matches!(in_mid_answer, Err(Failure::Ended)), "{in_mid_answer:?}");
        let (in_mid_work, _) = second_call(FIRST, |mut stream| {
            let _ = stream.read(&mut [0; 64]).unwrap();
            std::thread::sleep(2 * AT_ONCE);
        });
        assert!(matches!(in_mid_work, Err(Failure::Ended)), "{in_mid_work:?}");
    }

    #[test]
    fn a_chunked_answer_is_joined() {
        let first =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n3;x=y\r\n\":1\r\n1\r\n}\r\n0\r\n\r\n";
        let (_, body) = second_call(first, drop);
        assert_eq!(body, "{\"a\":1}");
    }

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
