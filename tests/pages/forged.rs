//! Posts that other sites forge, and credentials in the wrong place. The routes come from the route table, so a new form
//! is tested as soon as it is there.

use super::list::{Face, World};
use portcullis::http::Route;
use reqwest::{Method, RequestBuilder};

/// What a forged post may say of where it comes from; `None` is no such header.
const SITES: [Option<&str>; 5] = [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none")];

/// Every form: the path, with a value for its parameter.
pub fn forms(face: Face) -> Vec<String> {
    let is_form = |route: &&Route| {
        let other = ["/api/", "/callbacks/", "/gateway/"].iter().any(|part| route.pattern().starts_with(part));
        !other && Face::of(route.pattern()) == face && route.verbs().iter().any(|verb| verb.allow() == "POST")
    };
    let paths = Route::ALL.iter().filter(is_form).map(|route| match route.pattern().split_once('{') {
        Some((before, rest)) => format!("{before}1{}", rest.split_once('}').map_or("", |(_, after)| after)),
        None => route.pattern().to_owned(),
    });
    paths.collect()
}

/// A post as a browser sends it.
pub fn post(world: &World, face: Face, path: &str, origin: Option<&str>, site: Option<&str>) -> RequestBuilder {
    let mut request = world.request(face, Method::POST, path).form(&[("x", "y")]);
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

async fn forge(face: Face) {
    let world = World::start().await;
    let own = world.origin(face).to_owned();
    let other_port = format!("{own}0");
    let other_scheme = own.replace("http:", "https:");
    let origins =
        [None, Some("null"), Some("http://evil.example"), Some(&*other_port), Some(&*other_scheme), Some(&*own)];
    let before = world.live.content().await;
    let forms = forms(face);
    assert!(!forms.is_empty());
    let mut ours = Vec::new();
    let mut faults = Vec::new();
    for path in &forms {
        for (origin, site) in origins.iter().flat_map(|origin| SITES.map(|site| (*origin, site))) {
            if is_ours(&own, path, origin, site) {
                ours.push((path, origin, site));
                continue;
            }
            let status = status(post(&world, face, path, origin, site)).await;
            if status != 403 {
                faults.push(format!("{path} with the origin {origin:?} from {site:?}: {status}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert_eq!(world.live.content().await, before, "a forged post has changed something");
    // Without this a server that refuses everything would pass.
    for (path, origin, site) in ours {
        let status = status(post(&world, face, path, origin, site)).await;
        assert_ne!(status, 403, "{path} with the origin {origin:?} from {site:?} is ours");
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn a_forged_post_changes_nothing() {
    forge(Face::Public).await;
}
