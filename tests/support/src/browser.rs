//! A real browser: headless Chromium with chromedriver (W3C WebDriver, and the Chrome DevTools Protocol for what that
//! cannot do); ended when dropped.

use crate::tools;
use crate::wait::eventually;
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

/// The width of a usual window on a desktop, in CSS pixels.
pub const DESKTOP: u64 = 1280;

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// In CSS pixels, before the zoom. One up to [`PHONE`] is a phone.
    pub width: u64,
    /// `prefers-color-scheme: dark`.
    pub dark: bool,
    /// `prefers-reduced-motion: reduce`.
    pub still: bool,
    /// In percent.
    pub zoom: u64,
}

impl Default for View {
    fn default() -> Self {
        Self { width: DESKTOP, dark: false, still: false, zoom: 100 }
    }
}

/// One stop of the Tab key.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The element: its tag, its id or name, and the beginning of its text.
    pub element: String,
    /// Whether it looks different with the focus, and is on the screen.
    pub seen: bool,
}

/// One window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    client: Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts one that looks at pages as [`View::default`] says.
    ///
    /// # Panics
    /// When chromedriver or Chromium does not start.
    pub async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// The same for somebody who has turned JavaScript off.
    ///
    /// # Panics
    /// When chromedriver or Chromium does not start.
    pub async fn without_scripts() -> Self {
        Self::start_with(json!({ "profile.managed_default_content_settings.javascript": 2 })).await
    }

    async fn start_with(preferences: Value) -> Self {
        // It wants the same port of IPv4 and of IPv6, and ends when only one of them is free.
        let (driver, port) = (0..10).find_map(|_| driver()).expect("chromedriver (Debian: chromium, chromium-driver)");
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser =
            Self { driver, port, session: String::new(), client: crate::http_client(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &folder,
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": args, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let opened = browser.command(Method::POST, "/session", Some(capabilities)).await;
        let id = opened["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {opened}"));
        browser.session = format!("/session/{id}");
        browser.view(View::default()).await;
        browser
    }

    /// Looks at this page and the next ones in another way.
    pub async fn view(&self, view: View) {
        let phone = view.width <= PHONE;
        let height = if phone { 844 } else { 800 };
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": view.width * 100 / view.zoom,
                "height": height * 100 / view.zoom,
                "deviceScaleFactor": view.zoom as f64 / 100.0,
                "mobile": phone,
            }),
        )
        .await;
        let features = json!([
            { "name": "prefers-color-scheme", "value": if view.dark { "dark" } else { "light" } },
            { "name": "prefers-reduced-motion", "value": if view.still { "reduce" } else { "no-preference" } },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        let opened = self.command(Method::POST, "/url", Some(json!({ "url": url }))).await;
        assert!(opened.is_null(), "{url}: {opened}");
    }

    /// Goes one step back in the history, and waits until that page is loaded: a step that a script asks for while a page
    /// loads may be lost.
    pub async fn back(&self) {
        let done = self.command(Method::POST, "/back", Some(json!({}))).await;
        assert!(done.is_null(), "back: {done}");
    }

    /// The same forward.
    pub async fn forward(&self) {
        let done = self.command(Method::POST, "/forward", Some(json!({}))).await;
        assert!(done.is_null(), "forward: {done}");
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        self.command(Method::GET, "/url", None).await.as_str().unwrap_or_default().to_owned()
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

    /// The width of the page, in CSS pixels: more than that of the window if it scrolls sideways.
    pub async fn width(&self) -> u64 {
        let width = self.run("return document.documentElement.scrollWidth", json!([])).await;
        width.as_u64().unwrap_or_else(|| panic!("no width: {width}"))
    }

    /// How many animations and transitions run.
    pub async fn animations(&self) -> u64 {
        let running = self.run("return document.getAnimations().length", json!([])).await;
        running.as_u64().unwrap_or_else(|| panic!("no number: {running}"))
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.act(selector, "value", json!({ "text": text })).await;
    }

    /// Clicks.
    pub async fn click(&self, selector: &str) {
        self.act(selector, "click", json!({})).await;
    }

    /// Types where the focus is. Keys without a character are those of WebDriver §17.4.2, such as [`TAB`] and [`ENTER`].
    ///
    /// [`TAB`]: Self::TAB
    /// [`ENTER`]: Self::ENTER
    pub async fn press(&self, keys: &str) {
        let stroke = |key: char| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let actions: Vec<_> = keys.chars().flat_map(stroke).collect();
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        let done = self.command(Method::POST, "/actions", Some(keyboard)).await;
        assert!(done.is_null(), "{keys:?}: {done}");
    }

    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";

    /// Presses Tab until the focus is on an element that the selector finds.
    ///
    /// # Panics
    /// When the focus does not come there.
    pub async fn tab_to(&self, selector: &str) {
        for _ in 0..200 {
            self.press(Self::TAB).await;
            let there = "return document.activeElement !== null && document.activeElement.matches(arguments[0])";
            if self.run(there, json!([selector])).await == true {
                return;
            }
        }
        panic!("Tab does not lead to {selector}");
    }

    /// Runs a function body in the page; policies of the page do not matter to it. Its result, or the error.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        self.command(Method::POST, "/execute/sync", Some(json!({ "script": script, "args": arguments }))).await
    }

    /// Runs a function body whose last argument is a function that takes the result.
    pub async fn run_async(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/async", Some(json!({ "script": script, "args": [] }))).await
    }

    /// What the page and its scripts have said on the console as errors since the last call, among them refusals by its
    /// content security policy.
    pub async fn console_errors(&self) -> Vec<String> {
        let entries = self.command(Method::POST, "/se/log", Some(json!({ "type": "browser" }))).await;
        let severe = |entry: &&Value| entry["level"] == "SEVERE";
        let entries = entries.as_array().unwrap_or_else(|| panic!("no log: {entries}"));
        let texts = entries.iter().filter(severe).map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        // That a page itself has the status 410 or 422 is no error of the page.
        texts
            .filter(|text| !text.contains("the server responded with a status of 4") || text.contains("/pages/"))
            .collect()
    }

    /// The bytes of the page and of everything that it has loaded, as they were sent, without headers.
    pub async fn weight(&self) -> u64 {
        let script = "return performance.getEntries().filter(e => 'encodedBodySize' in e)
            .reduce((sum, entry) => sum + entry.encodedBodySize, 0)";
        let weight = self.run(script, json!([])).await;
        weight.as_u64().unwrap_or_else(|| panic!("no weight: {weight}"))
    }

    /// The violations of axe-core's rules whose impact is serious or critical, one text each.
    ///
    /// # Panics
    /// When axe-core is missing or does not run.
    pub async fn axe(&self) -> Vec<String> {
        if self.run("return typeof axe", json!([])).await != "object" {
            let loaded = self.run(&tools::axe(), json!([])).await;
            assert!(loaded.is_null(), "{loaded}");
        }
        let found = self.run_async(include_str!("axe.js")).await;
        texts(&found)
    }

    /// Walks once around the page with the Tab key: the order of the focus, and the elements that it should have reached
    /// and did not.
    pub async fn keyboard(&self) -> (Vec<Stop>, Vec<String>) {
        let elements = self.run(include_str!("keyboard.js"), json!([])).await;
        let elements = elements.as_u64().unwrap_or_else(|| panic!("no walk: {elements}"));
        // Some more, for what is in frames.
        self.press(&Self::TAB.repeat(elements as usize + 10)).await;
        let walk = self.run("return window.portcullisWalk()", json!([])).await;
        let stops = walk["stops"].as_array().unwrap_or_else(|| panic!("no stops: {walk}")).iter();
        let stop = |stop: &Value| Stop {
            element: stop["element"].as_str().unwrap_or_default().to_owned(),
            seen: stop["seen"] == true,
        };
        (stops.map(stop).collect(), texts(&walk["missed"]))
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

    async fn devtools(&self, method: &str, parameters: Value) {
        let command = json!({ "cmd": method, "params": parameters });
        let done = self.command(Method::POST, "/goog/cdp/execute", Some(command)).await;
        assert!(done.get("error").is_none(), "{method}: {done}");
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

/// Starts chromedriver: the process and its port. `None` if it ends at once.
fn driver() -> Option<(Child, u16)> {
    let command = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut driver = command.ok()?;
    let mut lines = BufReader::new(driver.stdout.take()?).lines();
    let port =
        lines.find_map(|line| line.ok()?.trim_end_matches('.').split("successfully on port ").nth(1)?.parse().ok());
    if port.is_none() {
        let _ = driver.wait();
    }
    Some((driver, port?))
}

/// The texts of a list that a script has returned.
fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
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
