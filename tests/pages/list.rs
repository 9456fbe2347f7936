//! Every page, and how it is reached. A new page is one line of [`PAGES`].

use portcullis_testkit::browser::Browser;
use portcullis_testkit::json;
use portcullis_testkit::live::Live;
use reqwest::{Method, RequestBuilder};

/// Who sees a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Everybody.
    Public,
}

impl Face {
    /// The face of a path.
    pub fn of(_path: &str) -> Self {
        Self::Public
    }
}

/// What is done on a page before it is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Fill(&'static str, &'static str),
    Click(&'static str),
}
use Step::{Click, Fill};

/// A page, or what it shows after a few steps.
pub struct Page {
    pub face: Face,
    /// `{name}` is replaced by that value of the [`World`].
    pub path: &'static str,
    pub steps: &'static [Step],
    /// What its heading says then.
    pub heading: &'static str,
}

const fn public(path: &'static str, steps: &'static [Step], heading: &'static str) -> Page {
    Page { face: Face::Public, path, steps, heading }
}

/// All of them.
pub const PAGES: &[Page] = &[
    public("/password/reset", &[], "Forgot your password?"),
    public("/password/reset", &[Fill("[name=email]", "a@b.cd"), Click("button")], "Check your e-mail"),
    public("/password/reset/rubbish", &[], "no longer valid"),
    public("/password/reset/{reset}", &[], "Choose a new password"),
    public(
        "/password/reset/{reset}",
        &[Fill("#password", "password1"), Fill("#repeat", "password1"), Click("button")],
        "Choose a new password",
    ),
    public("/dev/inbox", &[], "Inbox"),
];

/// A server in which there is something to see.
pub struct World {
    pub live: Live,
    values: Vec<(&'static str, String)>,
}

impl World {
    /// With mails and text messages in the inbox.
    pub async fn start() -> Self {
        let live = Live::start().await;
        let pairs = [("email", "admin@beyondvip.com")];
        let (status, _) = json(live.request(Method::POST, "/api/v1/tokens/reset").form(&pairs)).await;
        assert_eq!(status, 200);
        let mail = live.received("reset_link", 1).await.swap_remove(0);
        let (_, reset) = mail.split_once("/password/reset/").expect("a link");
        let reset = reset.split_whitespace().next().expect("a token").to_owned();

        let (_, signed_in) = live.sign_in("password").await;
        let token = signed_in["token"].as_str().expect("a token");
        let ask = live.request(Method::POST, "/api/v1/settings/send_phone_verification").bearer_auth(token);
        assert_eq!(json(ask.form(&[("phone", "+12125550123")])).await.0, 200);
        live.received("phone_code", 1).await;
        Self { live, values: vec![("{reset}", reset)] }
    }

    /// Where a face is served.
    pub fn origin(&self, face: Face) -> &str {
        match face {
            Face::Public => &self.live.url,
        }
    }

    /// A request by somebody who has been let in.
    pub fn request(&self, face: Face, method: Method, path: &str) -> RequestBuilder {
        self.live.client.request(method, format!("{}{path}", self.origin(face)))
    }

    /// The path of a page, with the values of this world.
    pub fn path(&self, page: &Page) -> String {
        let path = self.values.iter().fold(page.path.to_owned(), |path, (name, value)| path.replace(name, value));
        assert!(!path.contains('{'), "{path}: the world has no such value");
        path
    }

    /// Opens a page in a browser that has been let in, and takes its steps.
    pub async fn open(&self, browser: &Browser, page: &Page) {
        browser.open(&format!("{}{}", self.origin(page.face), self.path(page))).await;
        for step in page.steps {
            match step {
                Fill(selector, text) => browser.fill(selector, text).await,
                Click(selector) => browser.click(selector).await,
            }
        }
        browser.shows("h1", page.heading).await;
    }
}
