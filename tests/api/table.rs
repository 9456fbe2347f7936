//! Every call of the API with the valid parameters of its declaration. The tests of bad input change one of them at a time.

use super::app::App;
use super::probe::{KEY, TOKEN};
use portcullis::http::endpoint::{Need, Parameter, Place};
use portcullis::http::{OPERATIONS, Operation};
use reqwest::RequestBuilder;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// One call.
pub struct Call {
    /// The name of its declaration.
    pub id: &'static str,
    pub method: &'static str,
    pub path: String,
    pub credential: Option<&'static str>,
    /// Valid parameters; those marked true are required.
    pub params: Vec<(&'static str, &'static str, bool)>,
}

/// All of them, but for what is outside of `/api/v1`. One that a parameter opens without a credential is there twice.
pub fn calls() -> &'static [Call] {
    static CALLS: LazyLock<Vec<Call>> = LazyLock::new(|| {
        let api = OPERATIONS.iter().filter(|operation| operation.route.pattern().starts_with("/api/v1/"));
        api.flat_map(Call::of).collect()
    });
    &CALLS
}

/// The call with this name.
pub fn call(id: &str) -> &'static Call {
    calls().iter().find(|call| call.id == id).expect("a declared call")
}

/// The parameter that a parameter stands in place of.
fn instead_of(parameter: &Parameter) -> Option<&'static str> {
    match parameter.need {
        Need::Unless(other) => Some(other),
        _ => None,
    }
}

impl Call {
    fn of(operation: &Operation) -> Vec<Self> {
        let endpoint = operation.endpoint;
        let sent = || endpoint.parameters.iter().filter(|parameter| parameter.place != Place::Path);
        let opening: Vec<_> = sent().filter_map(instead_of).collect();
        let call = |credential, params: Vec<_>| Self {
            id: endpoint.id,
            method: operation.verb.as_str(),
            path: operation.example_path(),
            credential,
            params,
        };
        let credential = match endpoint.access {
            access if access.user => Some(TOKEN),
            access if !access.scopes.is_empty() => Some(KEY),
            _ => None,
        };
        let usual = sent().filter(|parameter| !opening.contains(&parameter.name));
        let must = |need| matches!(need, Need::Always | Need::Unless(_));
        let usual = usual.map(|it| (it.name, it.example, must(it.need))).collect();
        let opened = sent().filter(|parameter| instead_of(parameter).is_none());
        let opened = opened.map(|it| (it.name, it.example, it.need == Need::Always || opening.contains(&it.name)));
        let mut calls = vec![call(credential, usual)];
        if !opening.is_empty() {
            calls.push(call(None, opened.collect()));
        }
        calls
    }

    /// The request without a body.
    pub fn bare(&self, app: &App) -> RequestBuilder {
        let request = app.request(self.method, &self.path);
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

    /// The method and the path, for messages of failed tests.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
