//! Reads the messages in the inbox of a server, as their recipients would.

use crate::http::call;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::found_blocking;
use serde_json::Value;

/// Waits for a message to a recipient in any of the inboxes, and returns its text.
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
