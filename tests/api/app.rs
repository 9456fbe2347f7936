//! The real HTTP layer on a free port, with a probe in place of the actors. Each test has its own.

use super::probe::Probe;
use actix_web::dev::ServerHandle;
use async_trait::async_trait;
use portcullis::connections::{ConnectionMetrics, ConnectionPolicy, Stopping, serve};
use portcullis::http::dispatch::{DispatchPolicy, Dispatcher};
use portcullis::http::metrics::{HttpMetrics, METHODS, STATUSES};
use portcullis::http::{
    About, AppState, Instruments, Pulse, Readiness, Ready, RequestHandler, Route, Settings, StoreState,
};
use portcullis_actors::transports::Inbox;
use portcullis_testkit::http_client;
pub use portcullis_testkit::json;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// The settings of a test.
pub struct Setup {
    pub settings: Settings,
    pub dispatcher: DispatchPolicy,
    pub inbox: Option<Inbox>,
    pub connections: ConnectionPolicy,
}

impl Default for Setup {
    fn default() -> Self {
        let config = &portcullis_testkit::defaults();
        Self { settings: config.into(), dispatcher: config.into(), inbox: None, connections: config.into() }
    }
}

/// A running server.
pub struct App {
    pub address: SocketAddr,
    pub url: String,
    pub probe: Probe,
    pub dispatcher: Arc<Dispatcher>,
    pub connections: Arc<ConnectionMetrics>,
    pub ready: Arc<Mutex<Ready>>,
    pub stopping: Stopping,
    pub client: Client,
    requests: Arc<HttpMetrics>,
    handle: ServerHandle,
}

struct Node(Arc<Mutex<Ready>>);

#[async_trait]
impl Readiness for Node {
    async fn now(&self) -> Ready {
        *self.0.lock().expect("not poisoned")
    }
}

/// Those of a server that is not there.
struct NoInstruments;

#[async_trait]
impl Instruments for NoInstruments {
    fn about(&self) -> &About {
        static NOTHING: About =
            About { node: String::new(), version: "", profile: String::new(), configuration: String::new() };
        &NOTHING
    }

    async fn stores(&self) -> Vec<StoreState> {
        Vec::new()
    }

    async fn pulse(&self) -> Pulse {
        Pulse::default()
    }

    async fn has_demo_data(&self) -> bool {
        false
    }
}

impl App {
    /// With the settings of a default configuration.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// With other settings. The default of the public URL is the address listened on.
    pub async fn start_with(setup: Setup) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let url = format!("http://{address}");
        let probe = Probe::default();
        let ready = Arc::new(Mutex::new(Ready::Yes));

        let ports = probe.ports();
        let dispatcher = Arc::new(Dispatcher::new(setup.dispatcher));
        let permits = Arc::clone(&dispatcher);
        let mut settings = setup.settings;
        if settings.public_url.is_empty() {
            settings.public_url = url.clone();
        }
        let readiness: Arc<dyn Readiness> = Arc::new(Node(ready.clone()));
        let inbox = setup.inbox;
        let (connections, requests) = <(Arc<ConnectionMetrics>, Arc<HttpMetrics>)>::default();
        let metrics = Arc::clone(&requests);
        let state = move || AppState {
            ports: ports.clone(),
            dispatcher: permits.clone(),
            settings: settings.clone(),
            readiness: readiness.clone(),
            instruments: Arc::new(NoInstruments),
            traces: None,
            metrics: metrics.clone(),
            inbox: inbox.clone(),
        };
        let start = move || {
            let handler = RequestHandler::new(state());
            async move |request| handler.answer(request).await
        };
        let stopping = Stopping::default();
        let server = serve(listener, 1, 1, setup.connections, connections.clone(), &stopping, start);
        let server = server.expect("a listener");
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, url, probe, dispatcher, connections, ready, stopping, client: http_client(), requests, handle }
    }

    /// How many requests of a route, or of unknown paths, have ended with this status.
    pub fn counted(&self, route: Option<Route>, method: &str, status: &str) -> u64 {
        let at = |names: &[&str], name| names.iter().position(|known| *known == name).expect("it is counted");
        self.requests.of(route)[at(&METHODS, method)].answers[at(&STATUSES, status)].get()
    }

    /// A request to a path of the server.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.url))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// Demands a complete problem document with this status and code; returns it.
pub async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    refusal(request.send().await.expect("an answer"), status, code).await
}

/// The same for an answer.
pub async fn refusal(response: Response, status: u16, code: &str) -> Value {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(response.status().as_u16(), status, "status; due is {code}");
    assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(header("www-authenticate").as_deref(), (status == 401).then_some("Bearer"));
    let retry_after = header("retry-after");
    assert_eq!(retry_after.is_some(), status == 429 || status == 503, "Retry-After");
    assert_eq!(header("allow").is_some(), status == 405, "Allow");
    let id = header("x-request-id").expect("a request id");
    let body: Value = serde_json::from_str(&response.text().await.expect("a text")).expect("JSON");
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["request_id"], id, "{body}");
    for field in ["type", "title", "detail"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
    }
    assert_eq!(body["errors"].is_object(), status == 422, "{body}");
    assert_eq!(body["retry_after"].as_u64().map(|secs| secs.to_string()), retry_after, "{body}");
    body
}
