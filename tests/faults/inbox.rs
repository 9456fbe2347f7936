//! What servers with an inbox have "sent", as it is read by those it was sent to.

use crate::http::call;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::found_blocking;
use serde_json::Value;

/// What a message to somebody holds; whichever server delivers it, and that takes a moment.
pub fn delivered(servers: &[&Server], to: &str, find: impl Fn(&str) -> Option<String>) -> String {
    let in_inbox = |server: &&Server| {
        let inbox = call(server.address(), "GET", "/dev/inbox.json", "", "").expect("answered");
        let messages: Vec<Value> = serde_json::from_str(&inbox.body).expect("a list");
        let mut texts = messages.iter().filter(|message| message["to"] == to);
        texts.find_map(|message| find(message["text"].as_str()?))
    };
    found_blocking(&format!("a message to {to}"), || servers.iter().find_map(in_inbox))
}

/// The six digits of a text message.
pub fn code(text: &str) -> Option<String> {
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    text.split(|c: char| !c.is_alphanumeric()).find(is_code).map(str::to_owned)
}

/// The token at the end of a mailed link.
pub fn reset_token(text: &str) -> Option<String> {
    let link = text.split("/password/reset/").nth(1)?;
    link.split(|c: char| c.is_whitespace() || "<>\"".contains(c)).next().map(str::to_owned)
}
