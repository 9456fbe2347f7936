//! Posts that other sites forge, and credentials in the wrong place. The routes come from the route table, so a new form
//! is tested as soon as it is there.

use super::list::{Face, World};
use portcullis::http::Route;
use reqwest::header::{COOKIE, LOCATION};
use reqwest::{Method, RequestBuilder};
use std::collections::BTreeSet;

/// What a forged post may say of where it comes from; `None` is no such header.
const SITES: [Option<&str>; 5] = [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none")];

/// The paths of the routes that take this method, with a value for their parameter.
fn paths(method: &'static str, is_meant: fn(&str) -> bool) -> Vec<String> {
    let takes = |route: &&Route| route.verbs().iter().any(|verb| verb.allow().starts_with(method));
    let paths = Route::ALL.iter().filter(takes).map(|route| route.pattern()).filter(|pattern| is_meant(pattern));
    let paths = paths.map(|pattern| match pattern.split_once('{') {
        Some((before, rest)) => format!("{before}1{}", rest.split_once('}').map_or("", |(_, after)| after)),
        None => pattern.to_owned(),
    });
    paths.collect()
}

/// Every form of a page.
pub fn forms() -> Vec<String> {
    paths("POST", |pattern| !["/api/", "/callbacks/", "/gateway/"].iter().any(|part| pattern.starts_with(part)))
}

/// A post as a browser sends it.
pub fn post(world: &World, path: &str, origin: Option<&str>, site: Option<&str>) -> RequestBuilder {
    let mut request = world.request(Method::POST, path).form(&[("x", "y")]);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    if let Some(site) = site {
        request = request.header("sec-fetch-site", site);
    }
    request
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

/// The tables that changed, as they were and as they are.
fn changed<'t>(before: &'t BTreeSet<String>, after: &'t BTreeSet<String>) -> Vec<&'t str> {
    before.symmetric_difference(after).map(String::as_str).collect()
}

/// Whether a browser that sends these headers shows one of our own pages, at `own`.
fn is_ours(own: &str, path: &str, origin: Option<&str>, site: Option<&str>) -> bool {
    let same = site == Some("same-origin");
    // The pages of reset links send no referrer, so their forms have the origin `null`. Old browsers do not send
    // `Sec-Fetch-Site`; nobody who forges a post knows the link.
    if path.starts_with("/password/reset") {
        return match origin {
            None => same,
            Some("null") => same || site.is_none(),
            Some(origin) => origin == own,
        };
    }
    match origin {
        None | Some("null") => same,
        Some(origin) => origin == own && (same || site.is_none()),
    }
}

#[actix_web::test]
async fn a_forged_post_changes_nothing() {
    let world = World::start().await;
    let before = world.live.content().await;
    let mut ours = Vec::new();
    let mut faults = Vec::new();
    for path in forms() {
        let own = world.origin(&path).to_owned();
        let other_port = format!("{own}0");
        let origins =
            [None, Some("null"), Some("http://evil.example"), Some("rubbish"), Some(&*other_port), Some(&*own)];
        for (origin, site) in origins.iter().flat_map(|origin| SITES.map(|site| (*origin, site))) {
            let request = post(&world, &path, origin, site);
            let name = format!("{path} with the origin {origin:?} from {site:?}");
            if is_ours(&own, &path, origin, site) {
                ours.push((name, request));
                continue;
            }
            let status = status(request).await;
            if status != 403 {
                faults.push(format!("{name}: {status}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert_eq!(changed(&before, &world.live.content().await), [] as [&str; 0], "by a forged post");
    // Without this a server that refuses everything would pass.
    for (name, request) in ours {
        assert_ne!(status(request).await, 403, "{name} is ours");
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn nothing_but_its_own_session_opens_a_page() {
    let world = World::start().await;
    let before = world.live.content().await;
    let token = world.value("{token}").to_owned();
    let mut faults = Vec::new();
    for face in [Face::Settings, Face::Console] {
        let (name, session) = world.cookie_of(face).split_once('=').expect("a pair");
        let other = if face == Face::Settings { Face::Console } else { Face::Settings };
        let (_, of_other) = world.cookie_of(other).split_once('=').expect("a pair");
        let foreign = [
            (COOKIE, String::new()),
            (COOKIE, format!("{name}={token}")),
            (COOKIE, format!("{name}={of_other}")),
            (COOKIE, world.cookie_of(other).to_owned()),
            (COOKIE, format!("{name}={session}; {name}={session}")),
            (reqwest::header::AUTHORIZATION, format!("Bearer {token}")),
            (reqwest::header::AUTHORIZATION, format!("Bearer {session}")),
        ];
        for method in ["GET", "POST"] {
            // Whoever has a session may end it, at the other address too.
            let pages = paths(method, |pattern| !pattern.ends_with("/signin") && !pattern.ends_with("/signout"));
            for path in pages.iter().filter(|path| Face::of(path) == face) {
                for (header, value) in &foreign {
                    let method = Method::from_bytes(method.as_bytes()).expect("a method");
                    let request =
                        world.bare(method, path).header(header, value).header("sec-fetch-site", "same-origin");
                    let answer = request.send().await.expect("an answer");
                    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                    if answer.status() != 303 || !to.contains("/signin") {
                        faults.push(format!("{path} with {header} {value}: {} {to}", answer.status()));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert_eq!(changed(&before, &world.live.content().await), [] as [&str; 0], "by a stranger");
    world.live.stop().await;
}

#[actix_web::test]
async fn the_session_of_a_page_opens_no_call_of_the_api() {
    let world = World::start().await;
    let before = world.live.content().await;
    let mut faults = Vec::new();
    for face in [Face::Settings, Face::Console] {
        let cookie = world.cookie_of(face);
        let (_, session) = cookie.split_once('=').expect("a pair");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            for path in paths(method, |pattern| pattern.starts_with("/api/") || pattern.starts_with("/gateway/")) {
                let request = || world.bare(Method::from_bytes(method.as_bytes()).expect("a method"), &path);
                let without = status(request()).await;
                let with = status(request().header(COOKIE, cookie)).await;
                let as_token = status(request().bearer_auth(session)).await;
                if with != without || without < 300 || as_token < 300 {
                    faults.push(format!("{method} {path}: {without}, {with} with {cookie}, {as_token} as a token"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert_eq!(changed(&before, &world.live.content().await), [] as [&str; 0], "by the session of a page");
    world.live.stop().await;
}
