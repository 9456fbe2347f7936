//! Every endpoint with valid parameters. The tests of bad input change one of them at a time.

use super::app::App;
use super::probe::{KEY, TOKEN};
use reqwest::RequestBuilder;
use serde_json::{Map, Value};

/// One call.
pub struct Call {
    pub method: &'static str,
    pub path: &'static str,
    pub credential: Option<&'static str>,
    /// Valid parameters; those marked true are required.
    pub params: &'static [(&'static str, &'static str, bool)],
}

const EMAIL: (&str, &str, bool) = ("email", "admin@beyondvip.com", true);

/// All of them.
pub const CALLS: &[Call] = &[
    Call {
        method: "POST",
        path: "/api/v1/tokens",
        credential: None,
        params: &[
            EMAIL,
            ("password", "password", true),
            ("device_token", "324628746283682634", false),
            ("mobile_os", "ios", false),
            ("app_id", "beyondvip", false),
            ("apn_token", "push-1", false),
            ("locale", "es-MX", false),
        ],
    },
    call("DELETE", "/api/v1/tokens/1", &[("apn_token", "push-1", false)]),
    Call {
        method: "POST",
        path: "/api/v1/tokens/reset",
        credential: None,
        params: &[EMAIL, ("app_id", "beyondvip", false)],
    },
    Call {
        method: "POST",
        path: "/api/v1/tokens/introspect",
        credential: Some(KEY),
        params: &[("token", TOKEN, true)],
    },
    call("POST", "/api/v1/settings/send_phone_verification", &[("phone", "(123)456-7890", true)]),
    call("POST", "/api/v1/settings/verify_phone", &[("token", "1988", true)]),
    call("GET", "/api/v1/sessions/current", &[]),
    call("GET", "/api/v1/sessions", &[]),
    call("DELETE", "/api/v1/sessions", &[("others", "true", false)]),
    call("DELETE", "/api/v1/sessions/BwcHBwcHBwcHBwcHBwcHBw", &[]),
    call("PUT", "/api/v1/devices/327", &[("mobile_os", "ios", true), ("apn_token", "push-1", true)]),
    call("GET", "/api/v1/devices", &[]),
    call("DELETE", "/api/v1/devices/327", &[]),
    Call { method: "GET", path: "/api/v1/users/1/devices", credential: Some(KEY), params: &[] },
    call("PUT", "/api/v1/password", &[("current_password", "password", true), ("password", "a new one", true)]),
    Call {
        method: "PUT",
        path: "/api/v1/password",
        credential: None,
        params: &[("reset_token", TOKEN, true), ("password", "a new one", true)],
    },
];

const fn call(method: &'static str, path: &'static str, params: &'static [(&'static str, &'static str, bool)]) -> Call {
    Call { method, path, credential: Some(TOKEN), params }
}

impl Call {
    /// The request without a body.
    pub fn bare(&self, app: &App) -> RequestBuilder {
        let request = app.request(self.method, self.path);
        match self.credential {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The parameters as pairs.
    pub fn pairs(&self) -> Vec<(&'static str, &'static str)> {
        self.params.iter().map(|(name, value, _)| (*name, *value)).collect()
    }

    /// The parameters as a JSON object.
    pub fn object(&self) -> Map<String, Value> {
        self.params.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).into())).collect()
    }

    /// `what` with the name of the call, for messages of failed tests.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
