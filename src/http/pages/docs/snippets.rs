//! A call in four languages, made from its declaration. All of them are short enough to be read, and run as they stand,
//! given `token` or `key`.

use crate::http::endpoint::{Need, Parameter, Place};
use crate::http::{Operation, Verb};
use url::form_urlencoded::Serializer;

/// Writes a call in a language.
type Writer = fn(&Example) -> String;

/// The names of the languages, and how a call is written in them.
pub const LANGUAGES: [(&str, Writer); 4] =
    [("curl", curl), ("Swift", swift), ("Kotlin", kotlin), ("TypeScript", typescript)];

/// A call with the values of an example.
pub struct Example {
    verb: Verb,
    url: String,
    /// The name of the variable that has the credential; `None` if the call needs none.
    credential: Option<&'static str>,
    /// The parameters in the body.
    body: Vec<(&'static str, &'static str)>,
}

impl Example {
    /// With the parameters that are needed, or with all of them if none is. `base` is the address of the server.
    pub fn new(operation: &Operation, base: &str) -> Self {
        let endpoint = operation.endpoint;
        let sent = || endpoint.parameters.iter().filter(|parameter| parameter.place != Place::Path);
        let any = sent().any(|parameter| parameter.need == Need::Always);
        let partner = |parameter: &Parameter| sent().any(|other| other.need == Need::With(parameter.name));
        let shown = |parameter: &&Parameter| !any || parameter.need != Need::Never || partner(parameter);
        let pairs = |place| {
            let there = sent().filter(shown).filter(move |parameter| parameter.place == place);
            there.map(|parameter| (parameter.name, parameter.example)).collect::<Vec<_>>()
        };
        let query = pairs(Place::Query);
        let mut url = format!("{}{}", base.trim_end_matches('/'), operation.example_path());
        if !query.is_empty() {
            url.push('?');
            url.push_str(&Serializer::new(String::new()).extend_pairs(query).finish());
        }
        let credential = match endpoint.access {
            access if access.user => Some("token"),
            access if !access.scopes.is_empty() => Some("key"),
            _ => None,
        };
        Self { verb: operation.verb, url, credential, body: pairs(Place::Body) }
    }

    /// A line for each parameter in the body.
    fn lines(&self, line: impl Fn(&str, &str) -> String) -> String {
        self.body.iter().map(|(name, value)| line(name, value)).collect()
    }
}

fn curl(call: &Example) -> String {
    let method = if call.verb == Verb::GET { String::new() } else { format!(" -X {}", call.verb.as_str()) };
    let credential = call.credential.map(str::to_uppercase);
    let header = credential.map(|name| format!(" \\\n  -H \"Authorization: Bearer ${name}\"")).unwrap_or_default();
    let body = call.lines(|name, value| {
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte));
        if plain { format!(" \\\n  -d {name}={value}") } else { format!(" \\\n  --data-urlencode '{name}={value}'") }
    });
    let url = if call.url.contains('?') { format!("'{}'", call.url) } else { call.url.clone() };
    format!("curl{method} {url}{header}{body}")
}

fn swift(call: &Example) -> String {
    let mut text = format!("var request = URLRequest(url: URL(string: \"{}\")!)\n", call.url);
    if call.verb != Verb::GET {
        text += &format!("request.httpMethod = \"{}\"\n", call.verb.as_str());
    }
    if let Some(name) = call.credential {
        text += &format!("request.setValue(\"Bearer \\({name})\", forHTTPHeaderField: \"Authorization\")\n");
    }
    if !call.body.is_empty() {
        text += "request.setValue(\"application/json\", forHTTPHeaderField: \"Content-Type\")\n";
        let lines = call.lines(|name, value| format!("    \"{name}\": \"{value}\",\n"));
        text += &format!("request.httpBody = try JSONEncoder().encode([\n{lines}])\n");
    }
    text + "let (data, response) = try await URLSession.shared.data(for: request)"
}

fn kotlin(call: &Example) -> String {
    let mut text = format!("val request = Request.Builder()\n    .url(\"{}\")\n", call.url);
    if let Some(name) = call.credential {
        text += &format!("    .header(\"Authorization\", \"Bearer ${name}\")\n");
    }
    let method = call.verb.as_str().to_ascii_lowercase();
    let lines = call.lines(|name, value| format!("        .add(\"{name}\", \"{value}\")\n"));
    text += &match call.body.is_empty() {
        true if matches!(call.verb, Verb::GET | Verb::DELETE) => format!("    .{method}()\n"),
        true => format!("    .{method}(FormBody.Builder().build())\n"),
        false => format!("    .{method}(FormBody.Builder()\n{lines}        .build())\n"),
    };
    text + "    .build()\nval response = OkHttpClient().newCall(request).execute()"
}

fn typescript(call: &Example) -> String {
    let mut options = String::new();
    if call.verb != Verb::GET {
        options += &format!("  method: \"{}\",\n", call.verb.as_str());
    }
    if let Some(name) = call.credential {
        options += &format!("  headers: {{ Authorization: `Bearer ${{{name}}}` }},\n");
    }
    if !call.body.is_empty() {
        let lines = call.lines(|name, value| format!("    {name}: \"{value}\",\n"));
        options += &format!("  body: new URLSearchParams({{\n{lines}  }}),\n");
    }
    let options = if options.is_empty() { String::new() } else { format!(", {{\n{options}}}") };
    format!("const response = await fetch(\"{}\"{options});\nconst answer = await response.json();", call.url)
}
