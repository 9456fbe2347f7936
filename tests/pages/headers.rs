//! What every HTML answer allows its page: pages, refusals, and what is not there.

use super::forged::{forms, post};
use super::list::{PAGES, World};
use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder, Response};

/// Of a policy each directive with its sources.
fn directive<'a>(policy: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let directives = policy.split(';').map(|part| part.split_whitespace().collect::<Vec<_>>());
    let mut named = directives.filter(|words| words.first() == Some(&name));
    named.next().map(|words| words[1..].to_vec())
}

async fn faults(request: RequestBuilder) -> Vec<String> {
    let response = request.send().await.expect("an answer");
    if !header(&response, "content-type").starts_with("text/html") {
        return Vec::new();
    }
    let policy = header(&response, "content-security-policy");
    let mut due = vec![
        ("default-src", vec!["'none'"]),
        ("base-uri", vec!["'none'"]),
        ("frame-ancestors", vec!["'none'"]),
        ("form-action", vec!["'self'"]),
    ];
    let mut faults = Vec::new();
    // A mail is shown in a frame of the inbox, and it has no form and no style sheet.
    let is_mail = response.url().path().starts_with("/dev/inbox/");
    if is_mail {
        // A mail has its styles in itself, so there is no rule about styles, and no default. Nothing else of it is believed.
        due = vec![("frame-ancestors", vec!["'self'"]), ("img-src", vec!["data:"])];
        due.push(("sandbox", vec!["allow-popups", "allow-popups-to-escape-sandbox"]));
        let off = ["script-src", "font-src", "connect-src", "media-src", "object-src", "frame-src", "worker-src"];
        due.extend(
            off.into_iter().chain(["manifest-src", "form-action", "base-uri"]).map(|name| (name, vec!["'none'"])),
        );
    }
    if policy.contains("unsafe") {
        faults.push(format!("its policy is {policy}"));
    }
    for (name, sources) in due {
        if directive(&policy, name) != Some(sources) {
            faults.push(format!("{name} in {policy:?}"));
        }
    }
    if header(&response, "x-content-type-options") != "nosniff" {
        faults.push("no nosniff".to_owned());
    }
    if header(&response, "cache-control") != "no-store" {
        faults.push("it may be stored".to_owned());
    }
    if !["no-referrer", "same-origin"].contains(&header(&response, "referrer-policy").as_str()) {
        faults.push(format!("its referrer policy is {:?}", header(&response, "referrer-policy")));
    }
    let text = response.text().await.expect("a text");
    // The policy forbids them, so they would only be dead.
    for inline in [" style=", " onclick=", " onload=", "<style", "<script>", "javascript:"] {
        if !is_mail && text.contains(inline) {
            faults.push(format!("it has {inline}"));
        }
    }
    faults
}

fn header(response: &Response, name: &str) -> String {
    response
        .headers()
        .get(name)
        .map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[actix_web::test]
async fn pages_allow_nothing_that_they_do_not_need() {
    let world = World::start().await;
    let get = |path: &str| world.request(Method::GET, path).header(ACCEPT, "text/html");
    let mut requests: Vec<_> = PAGES.iter().map(|page| (page.path.to_owned(), get(&world.path(page)))).collect();
    for path in ["/dev/inbox/1", "/no/such/page", "/settings/no/such/page", "/admin/no/such/page"] {
        requests.push((path.to_owned(), get(path)));
    }
    for path in forms() {
        requests.push((format!("a forged post to {path}"), post(&world, &path, None, None)));
        requests.push((format!("an empty post to {path}"), post(&world, &path, None, Some("same-origin"))));
    }
    let mut found = Vec::new();
    for (name, request) in requests {
        found.extend(faults(request).await.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    world.live.stop().await;
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
