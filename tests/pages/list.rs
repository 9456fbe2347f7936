//! Every page, and how it is reached. A new page is one line of [`PAGES`].

use portcullis_testkit::browser::Browser;
use portcullis_testkit::json;
use portcullis_testkit::live::Live;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use reqwest::{Method, RequestBuilder};

/// The demo user, an administrator.
pub const EMAIL: &str = "admin@beyondvip.com";
pub const PASSWORD: &str = "password";

/// Who sees a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Everybody.
    Public,
    /// Users who have signed in.
    Settings,
    /// Administrators who have signed in, at the address for operators.
    Console,
}

impl Face {
    /// The face of a path.
    pub fn of(path: &str) -> Self {
        match path {
            "/signout" => Self::Settings,
            _ if path.starts_with("/settings") => Self::Settings,
            _ if path.starts_with("/admin") => Self::Console,
            _ => Self::Public,
        }
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
    /// `{name}` is replaced by that value of the [`World`].
    pub path: &'static str,
    pub steps: &'static [Step],
    /// What its heading says then.
    pub heading: &'static str,
}

const fn page(path: &'static str, heading: &'static str) -> Page {
    Page { path, steps: &[], heading }
}

/// Sends the first form of a page.
const SEND: Step = Click("form button:not([type=button])");

/// Sends the first form of the content, which is below a header with a form of its own.
const SEND_MAIN: Step = Click("main form .button");

/// All of them. Those before a sign-in stand first.
pub const PAGES: &[Page] = &[
    page("/password/reset", "Forgot your password?"),
    Page { path: "/password/reset", steps: &[Fill("#email", "a@b.cd"), SEND], heading: "Check your e-mail" },
    page("/password/reset/rubbish", "no longer valid"),
    page("/password/reset/{reset}", "Choose a new password"),
    Page {
        path: "/password/reset/{reset}",
        steps: &[Fill("#password", "password1"), SEND],
        heading: "Choose a new password",
    },
    page("/", "Portcullis is running"),
    page("/no/such/page", "Page not found"),
    page("/docs", "The API"),
    page("/docs/concepts", "Concepts"),
    page("/docs/tokens", "Signing in"),
    page("/docs/users", "People"),
    Page { path: "/docs/devices", steps: &[Click("label[for=registerDevice-3]")], heading: "Devices" },
    page("/dev/inbox", "Inbox"),
    page("/dev/inbox?to=a@b.cd", "Inbox"),
    Page {
        path: "/dev/inbox",
        steps: &[Click("#message-1 summary"), Click("#message-2 summary"), Click("label[for=text-1]")],
        heading: "Inbox",
    },
    page("/signin", "Sign in"),
    Page { path: "/signin", steps: &[Fill("#email", "a@b.cd"), Fill("#password", "wrong"), SEND], heading: "Sign in" },
    page("/admin/signin", "Sign in"),
    page("/admin", "Overview"),
    page("/admin/users", "Users"),
    page("/admin/users?q=nobody", "Users"),
    page("/admin/users/1", EMAIL),
    page("/admin/users/1/confirm?action=delete", "Delete"),
    Page {
        path: "/admin/users/1/confirm?action=disable",
        steps: &[Fill("#current_password", PASSWORD), Click("main form .danger")],
        heading: "Disable",
    },
    page("/admin/apps", "Applications"),
    page("/admin/apps/new", "New application"),
    page("/admin/apps/1", "Beyond VIP"),
    page("/admin/keys", "Server keys"),
    page("/admin/keys/new", "Make a server key"),
    page("/admin/keys/1", "demo"),
    page("/admin/outbox", "Outbox"),
    page("/admin/outbox?show=dead&channel=sms", "Outbox"),
    page("/admin/outbox/1", "Message 1"),
    page("/admin/configuration", "Configuration"),
    page("/settings", "Keys"),
    page("/settings/keys", "Keys"),
    page("/settings/keys?done=revoked", "Keys"),
    page("/settings/keys/new", "Make a key"),
    Page {
        path: "/settings/keys/new",
        steps: &[Fill("#name", "vans"), Fill("#current_password", "wrong"), SEND_MAIN],
        heading: "Make a key",
    },
    Page {
        path: "/settings/keys/new",
        steps: &[Fill("#name", "vans"), Fill("#current_password", PASSWORD), SEND_MAIN],
        heading: "Your new key",
    },
    page("/settings/keys/1", "demo"),
    page("/settings/keys/999", "not here"),
    page("/settings/sessions", "Sessions and devices"),
    page("/settings/account", "Account"),
    page("/settings/account?done=sent", "Account"),
    Page {
        path: "/settings/account",
        steps: &[Fill("#phone", "rubbish"), Click("#phone-form form[action$='/phone'] .button")],
        heading: "Account",
    },
];

impl Page {
    /// Who sees it: a sign-in page everybody.
    pub fn face(&self) -> Face {
        if self.path.ends_with("/signin") { Face::Public } else { Face::of(self.path) }
    }
}

/// A server in which there is something to see, and somebody who is signed in to its pages.
pub struct World {
    pub live: Live,
    values: Vec<(&'static str, String)>,
    settings: String,
    console: String,
}

impl World {
    /// With mails and text messages in the inbox, and a user whose names and devices are as long and as hostile as they may.
    pub async fn start() -> Self {
        let mut world =
            Self { live: Live::start().await, values: Vec::new(), settings: String::new(), console: String::new() };
        world.settings = world.cookie("/signin").await;
        world.console = world.cookie("/admin/signin").await;
        let script = format!("<script>alert(1)</script>{}", "W".repeat(230));
        let backwards = format!("\u{202e}{}", "م".repeat(254));
        let names = [("first_name", script.as_str()), ("last_name", &backwards), ("locale", "en")];
        let save = world.request(Method::POST, "/settings/account").header(ORIGIN, world.origin("/settings"));
        assert_eq!(save.form(&names).send().await.expect("an answer").status(), 303);

        let live = &world.live;
        let (status, _) = json(live.request(Method::POST, "/api/v1/tokens/reset").form(&[("email", EMAIL)])).await;
        assert_eq!(status, 200);
        let mail = live.received("reset_link", 1).await.swap_remove(0);
        let (_, reset) = mail.split_once("/password/reset/").expect("a link");
        let reset = reset.split_whitespace().next().expect("a token").to_owned();

        let push = "\"><W".repeat(1_000);
        let device = [("device_token", script.as_str()), ("mobile_os", "ios"), ("apn_token", &push)];
        let pairs = [&[("email", EMAIL), ("password", PASSWORD)], &device[..]].concat();
        let (_, signed_in) = json(live.request(Method::POST, "/api/v1/tokens").form(&pairs)).await;
        let token = signed_in["token"].as_str().unwrap_or_else(|| panic!("no token: {signed_in}")).to_owned();
        let ask = live.request(Method::POST, "/api/v1/settings/send_phone_verification").bearer_auth(&token);
        assert_eq!(json(ask.form(&[("phone", "+12125550123")])).await.0, 200);
        live.received("phone_code", 1).await;
        let (_, inbox) = json(live.request(Method::GET, "/dev/inbox.json")).await;
        let mut mails = inbox.as_array().expect("a list").iter();
        let mail = mails.rfind(|item| item["channel"] == "mail").expect("a mail");
        let html = mail["html"].as_str().expect("a text").to_owned();
        world.values = vec![("{reset}", reset), ("{token}", token), ("{html}", html)];
        world
    }

    /// Signs in on a page, and returns the cookie, `name=value`.
    async fn cookie(&self, path: &str) -> String {
        let request = self.live.client.post(self.url(path)).header(ORIGIN, self.origin(path));
        let answer = request.form(&[("email", EMAIL), ("password", PASSWORD)]).send().await.expect("an answer");
        assert_eq!(answer.status(), 303, "{path}");
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("a text");
        cookie.split(';').next().expect("a pair").to_owned()
    }

    /// The cookie of a face, `name=value`; empty if it has none.
    pub fn cookie_of(&self, face: Face) -> &str {
        match face {
            Face::Public => "",
            Face::Settings => &self.settings,
            Face::Console => &self.console,
        }
    }

    /// A value of this world, by its name in braces.
    pub fn value(&self, name: &str) -> &str {
        let named = self.values.iter().find(|(known, _)| *known == name);
        &named.unwrap_or_else(|| panic!("the world has no {name}")).1
    }

    /// Where a path is served.
    pub fn origin(&self, path: &str) -> &str {
        match Face::of(path) {
            Face::Public | Face::Settings => &self.live.url,
            Face::Console => &self.live.operators,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin(path))
    }

    /// A request by somebody who is signed in where that is needed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header(COOKIE, self.cookie_of(Face::of(path)))
    }

    /// A request by somebody who is not signed in.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.live.client.request(method, self.url(path))
    }

    /// The path of a page, with the values of this world.
    pub fn path(&self, page: &Page) -> String {
        let path = self.values.iter().fold(page.path.to_owned(), |path, (name, value)| path.replace(name, value));
        assert!(!path.contains('{'), "{path}: the world has no such value");
        path
    }

    /// Signs in with a browser.
    pub async fn enter(&self, browser: &Browser, face: Face) {
        let path = match face {
            Face::Public => return,
            Face::Settings => "/signin",
            Face::Console => "/admin/signin",
        };
        browser.open(&self.url(path)).await;
        browser.fill("#email", EMAIL).await;
        browser.fill("#password", PASSWORD).await;
        browser.click("form button:not([type=button])").await;
        browser.shows("header", "Sign out").await;
    }

    /// Opens a page in a browser that has been let in, and takes its steps.
    pub async fn open(&self, browser: &Browser, page: &Page) {
        browser.open(&self.url(&self.path(page))).await;
        for step in page.steps {
            match step {
                Fill(selector, text) => browser.fill(selector, text).await,
                Click(selector) => browser.click(selector).await,
            }
        }
        browser.shows("h1", page.heading).await;
    }
}
