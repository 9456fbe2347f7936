//! A real browser: headless Chromium with chromedriver (W3C WebDriver); ended when dropped.

use portcullis_testkit::wait::eventually;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The key of an element's id in an answer (WebDriver §12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The width of a usual phone, in CSS pixels.
pub const PHONE: u64 = 390;

/// One window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    client: Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts one, with or without JavaScript.
    pub async fn start(client: Client, javascript: bool) -> Self {
        Self::start_with(client, javascript, json!({})).await
    }

    /// One as narrow as a phone.
    pub async fn phone(client: Client) -> Self {
        let metrics = json!({ "width": PHONE, "height": 844, "pixelRatio": 3.0, "mobile": true });
        Self::start_with(client, true, json!({ "mobileEmulation": { "deviceMetrics": metrics } })).await
    }

    async fn start_with(client: Client, javascript: bool, mut options: Value) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (Debian: chromium, chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port =
            lines.find_map(|line| line.ok()?.trim_end_matches('.').split("successfully on port ").nth(1)?.parse().ok());
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self {
            driver,
            port: port.expect("chromedriver says its port"),
            session: String::new(),
            client,
            _profile: profile,
        };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let allowed = if javascript { 1 } else { 2 };
        options["args"] = json!(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", folder]);
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": allowed});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let opened = browser.command(Method::POST, "/session", Some(capabilities)).await;
        let id = opened["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {opened}"));
        browser.session = format!("/session/{id}");
        browser
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.command(Method::POST, "/url", Some(json!({ "url": url }))).await;
    }

    /// Waits until the text of the first element that the selector finds contains `part`. A click returns before its
    /// page is loaded.
    pub async fn shows(&self, selector: &str, part: &str) {
        let contains = async || self.text(selector).await.as_str().is_some_and(|text| text.contains(part));
        eventually(&format!("{selector} shows {part:?}"), contains).await;
    }

    /// The same for the page in the first frame.
    pub async fn shows_in_frame(&self, selector: &str, part: &str) {
        // A page that refreshes itself replaces its frames at any moment, so every look starts from the page.
        let contains = async || {
            self.command(Method::POST, "/frame", Some(json!({ "id": null }))).await;
            let entered = self.command(Method::POST, "/frame", Some(json!({ "id": 0 }))).await;
            entered.is_null() && self.text(selector).await.as_str().is_some_and(|text| text.contains(part))
        };
        eventually(&format!("{selector} in the frame shows {part:?}"), contains).await;
        self.command(Method::POST, "/frame", Some(json!({ "id": null }))).await;
    }

    /// What a script returns.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/sync", Some(json!({ "script": script, "args": [] }))).await
    }

    /// The width of the page, in CSS pixels.
    pub async fn width(&self) -> u64 {
        let width = self.evaluate("return document.documentElement.scrollWidth").await;
        width.as_u64().unwrap_or_else(|| panic!("no width: {width}"))
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.act(selector, "value", json!({ "text": text })).await;
    }

    /// Clicks.
    pub async fn click(&self, selector: &str) {
        self.act(selector, "click", json!({})).await;
    }

    async fn act(&self, selector: &str, what: &str, with: Value) {
        let found = self.find(selector).await;
        let element = found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector}: {found}"));
        let done = self.command(Method::POST, &format!("/element/{element}/{what}"), Some(with)).await;
        assert!(done.is_null(), "{what} of {selector}: {done}");
    }

    /// The text of the first element that the selector finds, or the error.
    async fn text(&self, selector: &str) -> Value {
        let found = self.find(selector).await;
        let Some(element) = found[ELEMENT].as_str() else { return found };
        self.command(Method::GET, &format!("/element/{element}/text"), None).await
    }

    async fn find(&self, selector: &str) -> Value {
        let by = json!({"using": "css selector", "value": selector});
        self.command(Method::POST, "/element", Some(by)).await
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("http://127.0.0.1:{}{}{path}", self.port, self.session);
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer: Value = request.send().await.expect("chromedriver answers").json().await.expect("JSON");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing the session ends the browser. A driver that is killed leaves its browser running.
        if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = connection.set_read_timeout(Some(Duration::from_secs(10)));
            let request = format!("DELETE {} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n", self.session);
            let _ = connection.write_all(request.as_bytes());
            let _ = connection.read(&mut [0; 1024]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
