//! `/docs`: every call is there, its curl lines run, its links lead somewhere, and no page is large.

use super::app::App;
use super::probe::{KEY, TOKEN};
use portcullis::http::OPERATIONS;
use portcullis::http::endpoint::Group;
use portcullis::http::error::Code;
use portcullis_actors::domain::KeyScope;
use std::collections::BTreeSet;
use tokio::process::Command;

/// The largest page, with all that it loads, in bytes.
const LARGEST: usize = 60 * 1024;

async fn page(app: &App, path: &str) -> String {
    let response = app.request("GET", path).send().await.expect("an answer");
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.expect("a text")
}

/// The page of each group of calls.
async fn group_pages(app: &App) -> Vec<(&'static str, String)> {
    let mut pages = Vec::new();
    for group in Group::ALL.iter().filter(|group| OPERATIONS.iter().any(|call| call.endpoint.group == **group)) {
        pages.push((group.name(), page(app, &format!("/docs/{}", group.name())).await));
    }
    pages
}

/// What stands between `begin` and `end`, each time.
fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).filter_map(move |rest| Some(rest.split_once(end)?.0))
}

/// What HTML means.
fn plain(html: &str) -> String {
    let entities = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    entities.iter().fold(html.to_owned(), |text, (entity, meaning)| text.replace(entity, meaning))
}

#[actix_web::test]
async fn every_call_is_told_with_its_parameters_answers_and_errors() {
    let app = App::start().await;
    let pages = group_pages(&app).await;
    let index = page(&app, "/docs").await;
    for operation in OPERATIONS {
        let endpoint = operation.endpoint;
        let (name, text) = pages.iter().find(|(name, _)| *name == endpoint.group.name()).expect("its page");
        let begin = format!("id=\"{}\">", endpoint.id);
        let article = between(text, &begin, "</article>").next().expect("its article");
        assert!(article.contains(operation.route.pattern()), "{}", endpoint.id);
        for parameter in endpoint.parameters {
            assert!(
                article.contains(&format!("<code>{}</code>", parameter.name)),
                "{} {}",
                endpoint.id,
                parameter.name
            );
        }
        for code in endpoint.codes().iter().filter(|code| !Code::ANYWHERE.contains(code)) {
            assert!(article.contains(&format!("<code>{}</code>", code.as_str())), "{} {}", endpoint.id, code.as_str());
        }
        for language in ["curl ", "URLRequest(", "Request.Builder(", "fetch("] {
            assert!(article.contains(language), "{} has no {language}", endpoint.id);
        }
        assert!(index.contains(&format!("/docs/{name}#{}", endpoint.id)), "{}", endpoint.id);
    }
    let concepts = page(&app, "/docs/concepts").await;
    let codes = Code::ALL.iter().map(|code| code.as_str());
    for name in codes.chain(KeyScope::ALL.iter().map(|scope| scope.as_str())) {
        assert!(concepts.contains(&format!("<code>{name}</code>")), "{name} is no concept");
    }
}

/// As they stand in the documents, with a token and a key in the variables that they name.
#[actix_web::test]
async fn every_curl_line_runs() {
    let app = App::start().await;
    let pages = group_pages(&app).await;
    for operation in OPERATIONS {
        let endpoint = operation.endpoint;
        let begin = format!("<pre id=\"{}-code-1\" tabindex=\"0\">", endpoint.id);
        let line = pages.iter().find_map(|(_, text)| between(text, &begin, "</pre>").next()).expect("a curl line");
        let script = format!("{} -s -o /dev/null -w '%{{http_code}}'", plain(line));
        let run = Command::new("bash").args(["-c", &script]).env("TOKEN", TOKEN).env("KEY", KEY).output().await;
        let run = run.expect("bash and curl");
        let status = String::from_utf8_lossy(&run.stdout);
        assert_eq!(status, endpoint.answers[0].status.to_string(), "{script}");
    }
}

#[actix_web::test]
async fn every_link_leads_somewhere_and_no_page_is_large() {
    let app = App::start().await;
    let mut pages = group_pages(&app).await;
    pages.push(("", page(&app, "/docs").await));
    pages.push(("concepts", page(&app, "/docs/concepts").await));
    let (mut links, mut anchors) = (BTreeSet::new(), BTreeSet::new());
    for (name, text) in &pages {
        let path = format!("/docs/{name}").trim_end_matches('/').to_owned();
        anchors.extend(between(text, "id=\"", "\"").map(|id| format!("{path}#{id}")));
        for href in between(text, "href=\"", "\"") {
            links.insert(if href.starts_with('#') { format!("{path}{href}") } else { href.to_owned() });
        }
        let mut loads = text.len();
        for asset in between(text, "<link rel=\"stylesheet\" href=\"", "\"").chain(between(text, " src=\"", "\"")) {
            loads += page(&app, asset).await.len();
        }
        assert!(loads <= LARGEST, "{path} loads {loads} bytes");
    }
    for link in links {
        page(&app, link.split('#').next().unwrap_or_default()).await;
        assert!(!link.contains('#') || anchors.contains(&link), "{link} leads nowhere");
    }
}
