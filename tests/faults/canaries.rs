//! Stored data contains no usable secret. The tests use the server with known secrets, and then search every file it
//! wrote and its whole log for them, in plain form and in common encodings.

use crate::http::{Answer, call, call_with};
use crate::{inbox, setup};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use portcullis_testkit::server::Server;
use portcullis_testkit::stores::cells;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A value that must not be found, with a description.
pub struct Canary {
    pub what: &'static str,
    pub bytes: Vec<u8>,
}

impl Canary {
    pub fn text(what: &'static str, text: &str) -> Self {
        Self { what, bytes: text.as_bytes().to_vec() }
    }

    /// The secret bytes within a token or key: all sixteen of a key, sixteen after the user id of a token (and after the place
    /// of the pages that it opens).
    pub fn decoded(what: &'static str, token: &str) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(token).expect("tokens and keys are base64url");
        let secret = match bytes.len() {
            16 => &bytes[..],
            33 => &bytes[9..25],
            _ => &bytes[8..24],
        };
        Self { what, bytes: secret.to_vec() }
    }

    /// Every encoding that is searched for.
    fn spellings(&self) -> Vec<Vec<u8>> {
        let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut spellings = vec![self.bytes.clone(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
        // In base64 a value has a different encoding at each of three offsets, and its first and last characters depend on
        // its neighbours.
        for offset in 0..3 {
            let shifted = [&vec![0; offset][..], &self.bytes].concat();
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&shifted).into_bytes();
                let (from, to) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
                spellings.push(encoded[from..to].to_vec());
            }
        }
        spellings
    }

    pub fn is_in(&self, hay: &str) -> bool {
        self.spellings().iter().any(|needle| hay.contains(&text(needle)))
    }
}

/// Any bytes as text, one character per byte. Searching text is fast even in a debug build.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Whether the six digits of a code occur alone: not within a longer number or a fraction of a second.
pub fn stands_alone(text: &str, code: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + code.len()..].chars().next());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '.') && !after.is_some_and(char::is_alphanumeric)
    })
}

#[test]
fn the_search_finds_what_it_searches_for() {
    let canary = Canary::text("a password", "correct-canary-horse");
    for planted in [
        "…correct-canary-horse…".to_owned(),
        STANDARD_NO_PAD.encode("password=correct-canary-horse&x"),
        STANDARD_NO_PAD.encode("assword=correct-canary-horse&x"),
        URL_SAFE_NO_PAD.encode("ssword=correct-canary-horse"),
        "0x636f72726563742d63616e6172792d686f727365".to_owned(),
    ] {
        assert!(canary.is_in(&planted), "{planted}");
    }
    assert!(!canary.is_in("correct-canary-hors"));
    assert!(stands_alone("your code is 493817.", "493817") && stands_alone("'493817'", "493817"));
    assert!(!stands_alone("12:00:00.493817Z 1493817 a493817", "493817"));
}

#[test]
fn nothing_at_rest_opens_a_door() {
    let folder = TempDir::new().expect("a temporary folder");
    let setup = setup(folder.path(), &[("log.filter", "trace")]);
    let (first, wrong, fresh) = ("first-canary-horse-7319", "wrong-canary-guess-8842", "fresh-canary-staple-5527");
    let mut server = setup.start().expect("starts");
    let names = ["--first-name", "Ca", "--last-name", "Nary", "--password-stdin"];
    let add = ["--json", "users", "add", "--email", "canary@example.com"];
    let user = setup.run(&[&add[..], &names].concat(), first).expect("added");
    let user: serde_json::Value = serde_json::from_str(&user).expect("JSON");
    let owner = user["id"].to_string();
    let key = setup
        .run(&["--json", "keys", "add", "--app", "beyondvip", "--owner", &owner, "--scope", "owner:act"], "")
        .expect("added");
    let key: serde_json::Value = serde_json::from_str(&key).expect("JSON");
    let key = key["key"].as_str().expect("shown once").to_owned();

    let ask = |server: &Server, method: &str, path: &str, bearer: &str, form: &str| -> Answer {
        call(server.address(), method, &format!("/api/v1{path}"), bearer, form).expect("answered")
    };
    let sign_in = |server: &Server, password: &str| {
        ask(server, "POST", "/tokens", "", &format!("email=canary@example.com&password={password}"))
    };
    assert_eq!(sign_in(&server, wrong).status, 401);
    let token = sign_in(&server, first).text("token");
    assert_eq!(ask(&server, "GET", "/sessions/current", &token, "").status, 200);
    assert_eq!(ask(&server, "GET", &format!("/sessions/current?auth_token={token}"), "", "").status, 400);
    assert_eq!(ask(&server, "GET", "/sessions", &key, "").status, 200);

    let sent = ask(&server, "POST", "/settings/send_phone_verification", &token, "phone=%2B12125550123");
    assert_eq!(sent.status, 200, "{}", sent.body);
    let code = inbox::delivered(&[&server], "+12125550123", inbox::code);
    let guess = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(ask(&server, "POST", "/settings/verify_phone", &token, &format!("token={guess}")).status, 422);

    let (page, made) = made_on_a_page(&server, first);
    assert_eq!(ask(&server, "GET", "/sessions", &made, "").status, 200);

    assert_eq!(ask(&server, "POST", "/tokens/reset", "", "email=canary@example.com").status, 200);
    let reset = inbox::delivered(&[&server], "canary@example.com", inbox::reset_token);
    assert_eq!(
        call(server.address(), "GET", &format!("/password/reset/{reset}"), "", "").expect("answered").status,
        200
    );

    // A crash at this point: the code and the link are valid, and the write-ahead log is not yet merged.
    server.kill();
    let mut canaries = vec![
        Canary::text("the first password", first),
        Canary::text("a wrong password", wrong),
        Canary::text("a user token", &token),
        Canary::decoded("the bytes of a user token", &token),
        Canary::text("a server key", &key),
        Canary::decoded("the bytes of a server key", &key),
        Canary::text("the session of a page", &page),
        Canary::decoded("the bytes of the session of a page", &page),
        Canary::text("a key that was made on a page", &made),
        Canary::decoded("the bytes of a key that was made on a page", &made),
        Canary::text("a reset token", &reset),
        Canary::decoded("the bytes of a reset token", &reset),
    ];
    search(folder.path(), &canaries, &code);

    let server = setup.start().expect("starts again");
    let verified = ask(&server, "POST", "/settings/verify_phone", &token, &format!("token={code}"));
    assert_eq!(verified.status, 200, "{}", verified.body);
    let changed = ask(&server, "PUT", "/password", "", &format!("reset_token={reset}&password={fresh}"));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(ask(&server, "GET", "/sessions/current", &token, "").status, 401, "signed out by the reset");
    let second = sign_in(&server, fresh).text("token");
    canaries.extend([
        Canary::text("the new password", fresh),
        Canary::text("the second user token", &second),
        Canary::decoded("the bytes of the second user token", &second),
    ]);
    drop(server);
    search(folder.path(), &canaries, &code);
}

/// Whoever deletes a person deletes what was written about them: in every table of both stores and in the inbox. And the log
/// never had their address, not even when it stood in a query.
#[test]
fn nothing_is_left_of_a_person_who_was_deleted() {
    let folder = TempDir::new().expect("a temporary folder");
    let setup = setup(folder.path(), &[("log.filter", "trace")]);
    let mut server = setup.start().expect("starts");
    let add = ["--json", "keys", "add", "--app", "beyondvip", "--owner", "1"];
    let scopes = ["--scope", "users:read", "--scope", "users:write"];
    let key: serde_json::Value =
        serde_json::from_str(&setup.run(&[&add[..], &scopes].concat(), "").expect("added")).expect("JSON");
    let key = key["key"].as_str().expect("shown once").to_owned();
    let ask = |server: &Server, method: &str, path: &str, bearer: &str, form: &str| -> Answer {
        let answer = call(server.address(), method, &format!("/api/v1{path}"), bearer, form).expect("answered");
        assert!(matches!(answer.status, 200 | 401), "{method} {path}: {}", answer.body);
        answer
    };
    let person = "email=canary.person@example.com&first_name=Firstcanary&last_name=Lastcanary";
    let made = ask(&server, "POST", "/users", &key, person);
    let made: serde_json::Value = serde_json::from_str(&made.body).expect("JSON");
    let invitation = inbox::delivered(&[&server], "canary.person@example.com", inbox::reset_token);
    ask(&server, "PUT", "/password", "", &format!("reset_token={invitation}&password=first-canary-horse-7319"));
    let sign_in = |password: &str| {
        let form = format!("email=canary.person@example.com&password={password}");
        ask(&server, "POST", "/tokens", "", &(form + "&device_token=canary-phone&mobile_os=ios&apn_token=canary-push"))
    };
    let token = sign_in("first-canary-horse-7319").text("token");
    ask(&server, "POST", "/settings/send_phone_verification", &token, "phone=%2B12125550123");
    let code = inbox::delivered(&[&server], "+12125550123", inbox::code);
    ask(&server, "POST", "/settings/verify_phone", &token, &format!("token={code}"));
    // A number that was never verified, a link that was not used, and a wrong password.
    ask(&server, "POST", "/settings/send_phone_verification", &token, "phone=%2B12125550177");
    inbox::delivered(&[&server], "+12125550177", inbox::code);
    ask(&server, "POST", "/tokens/reset", "", "email=canary.person@example.com");
    assert_eq!(sign_in("a-wrong-password").status, 401);
    let found = ask(&server, "GET", "/users?email=canary.person@example.com", &key, "");
    assert_eq!(found.text("phone"), "+12125550123");

    let canaries =
        ["canary.person", "Firstcanary", "Lastcanary", "canary-phone", "canary-push", "+12125550123", "+12125550177"];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = folder.path().join("data").join("portcullis.db");
    let found = |canary: &str| {
        let tables = runtime.block_on(cells(&database));
        tables.values().flatten().any(|cell| cell.contains(canary))
    };
    assert!(canaries.iter().all(|canary| found(canary)), "the search finds all of them before");
    ask(&server, "DELETE", &format!("/users/{}", made["id"]), &key, "");
    for canary in canaries {
        assert!(!found(canary), "{canary} is in a table");
        let inbox = call(server.address(), "GET", "/dev/inbox.json", "", "").expect("answered");
        assert!(!inbox.body.contains(canary), "{canary} is in the inbox");
    }
    server.kill();
    let log = std::fs::read_to_string(folder.path().join("log")).expect("readable");
    assert!(log.contains("/api/v1/users") && !log.contains("canary.person") && !log.contains("canary"), "the log");
}

/// Signs the user in to the pages, and makes a key there: the token in the cookie, and the key.
fn made_on_a_page(server: &Server, password: &str) -> (String, String) {
    fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
        let (_, rest) = text.split_once(before).expect("it is there");
        rest.split_once(after).expect("it ends").0
    }
    let own = "sec-fetch-site: same-origin\r\n";
    let form = format!("email=canary@example.com&password={password}");
    let signed_in = call_with(server.address(), "POST", "/signin", own, &form).expect("answered");
    assert_eq!(signed_in.status, 303);
    let token = between(&signed_in.head, "portcullis=", ";").to_owned();
    let headers = format!("{own}cookie: portcullis={token}\r\n");
    let empty = call_with(server.address(), "GET", "/settings/keys/new", &headers, "").expect("answered");
    let name = between(&empty.body, "name=\"form\" value=\"", "\"");
    let form = format!("form={name}&app_id=beyondvip&name=vans&owner:act=1&current_password={password}");
    let made = call_with(server.address(), "POST", "/settings/keys/new", &headers, &form).expect("answered");
    assert!(made.status == 200 && made.head.to_lowercase().contains("cache-control: no-store"), "{}", made.head);
    (token, between(&made.body, "<pre id=\"key\" tabindex=\"0\">", "</pre>").to_owned())
}

fn search(folder: &Path, canaries: &[Canary], code: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut seen = 0;
    // All files are read before a database is opened, because closing one merges and removes its write-ahead log.
    let read = |file: PathBuf| std::fs::read(&file).map(|bytes| (file, bytes)).expect("readable");
    for (file, bytes) in files(folder).into_iter().map(read).collect::<Vec<_>>() {
        let content = text(&bytes);
        let shown = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        for canary in canaries {
            assert!(!canary.is_in(&content), "{} stands in {shown}", canary.what);
        }
        if shown == "log" {
            assert!(content.contains("/sessions/current"), "the log is one at a talkative level");
            assert!(!stands_alone(&content, code), "a phone code stands in the log");
            seen += 1;
        }
        if bytes.starts_with(b"SQLite format 3\0") {
            let tables = runtime.block_on(cells(&file));
            let cells: Vec<_> = tables.values().flatten().collect();
            assert!(!cells.iter().any(|cell| stands_alone(cell, code)), "a phone code stands in {shown}");
            seen += usize::from(cells.iter().any(|cell| cell.contains("canary@example.com")));
        }
    }
    assert!(seen >= 2, "the log and the accounts were searched");
}
