//! What holds for every page: no barrier that axe-core finds, light and dark, on a desktop and on a phone; every control
//! is reached by the Tab key, and the focus is seen; nothing scrolls sideways, at twice the size neither; nothing is said
//! on the console; and the page is light.

use super::list::{Face, PAGES, Page, World};
use portcullis::http::Route;
use portcullis_testkit::browser::{Browser, DESKTOP, PHONE, View};

/// The largest page with all that it loads, in bytes.
const HEAVIEST: u64 = 60 * 1024;

/// All checks of all pages of a face, or of a group of them. Every fault is told at the end, not only the first.
async fn check(face: Face, of_group: fn(&Page) -> bool) {
    let world = World::start().await;
    let browser = Browser::start().await;
    let mut faults = Vec::new();
    world.enter(&browser, face).await;
    let pages: Vec<_> = PAGES.iter().filter(|page| page.face() == face && of_group(page)).collect();
    assert!(!pages.is_empty());
    for page in pages {
        let found = check_page(&world, &browser, page).await;
        faults.extend(found.into_iter().map(|fault| format!("{} {:?}: {fault}", page.path, page.steps)));
    }
    drop(browser);
    world.live.stop().await;
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

async fn check_page(world: &World, browser: &Browser, page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    browser.view(View::default()).await;
    world.open(browser, page).await;
    let weight = browser.weight().await;
    if weight > HEAVIEST || weight == 0 {
        faults.push(format!("it weighs {weight} bytes"));
    }
    for width in [DESKTOP, PHONE] {
        for dark in [false, true] {
            browser.view(View { width, dark, ..View::default() }).await;
            faults.extend(browser.axe().await.into_iter().map(|fault| format!("{width} dark={dark}: {fault}")));
        }
        let (stops, missed) = browser.keyboard().await;
        faults.extend(missed.iter().map(|element| format!("{width}: Tab does not reach {element}")));
        let unseen = stops.iter().filter(|stop| !stop.seen);
        faults.extend(unseen.map(|stop| format!("{width}: nobody sees the focus on {}", stop.element)));
    }
    for (width, zoom) in [(DESKTOP, 100), (DESKTOP, 200), (PHONE, 100)] {
        browser.view(View { width, zoom, still: true, ..View::default() }).await;
        let (due, found) = (width * 100 / zoom, browser.width().await);
        if found > due {
            faults.push(format!("at {width} and {zoom} % it is {found} wide: it scrolls sideways"));
        }
        let moving = browser.animations().await;
        if moving != 0 {
            faults.push(format!("{moving} animations run for people who want none"));
        }
    }
    faults.extend(browser.console_errors().await.into_iter().map(|said| format!("the console says {said}")));
    faults
}

#[actix_web::test]
async fn public_pages_have_no_barrier() {
    check(Face::Public, |page| !page.path.starts_with("/docs")).await;
}

#[actix_web::test]
async fn documents_have_no_barrier() {
    check(Face::Public, |page| page.path.starts_with("/docs")).await;
}

#[actix_web::test]
async fn settings_have_no_barrier() {
    check(Face::Settings, |_| true).await;
}

#[actix_web::test]
async fn the_console_has_no_barrier() {
    check(Face::Console, |_| true).await;
}

#[actix_web::test]
async fn a_mail_has_no_barrier() {
    let world = World::start().await;
    let browser = Browser::start().await;
    let url = reqwest::Url::parse_with_params("data:", [("", world.value("{html}"))]).expect("a URL");
    let html = url.query().expect("encoded").trim_start_matches('=').replace('+', "%20");
    browser.open(&format!("data:text/html;charset=utf-8,{html}")).await;
    let mut faults = Vec::new();
    for (width, dark) in [(DESKTOP, false), (DESKTOP, true), (PHONE, false), (PHONE, true)] {
        browser.view(View { width, dark, ..View::default() }).await;
        faults.extend(browser.axe().await);
        assert_eq!(browser.width().await, width);
    }
    drop(browser);
    world.live.stop().await;
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_page_is_in_the_list() {
    // The last one is a mail, not a page.
    let others = ["/api/", "/health/", "/callbacks/", "/gateway/", "/pages/", "/dev/inbox/"];
    let shows = |route: &&Route| route.verbs().iter().any(|verb| verb.allow().starts_with("GET"));
    let is_page = |pattern: &&str| !others.iter().any(|part| pattern.starts_with(part)) && !pattern.ends_with(".json");
    let mut missing = Vec::new();
    for pattern in Route::ALL.iter().filter(shows).map(|route| route.pattern()).filter(is_page) {
        let (begin, end) = pattern
            .split_once('{')
            .map_or((pattern, ""), |(begin, rest)| (begin, rest.split_once('}').map_or("", |(_, end)| end)));
        let listed = PAGES.iter().any(|page| {
            page.path.starts_with(begin) && page.path.split('?').next().is_some_and(|path| path.ends_with(end))
        });
        if !listed {
            missing.push(pattern);
        }
    }
    assert!(missing.is_empty(), "not in the list of pages: {missing:?}");
}

/// A page of nothing but faults, each of which a check must find.
const FAULTY: &str = "data:text/html,<html lang=en><title>x</title><style>a:focus{outline:none} \
    @media(prefers-color-scheme:dark){p{color:%23222;background:%23000}} \
    @media(prefers-reduced-motion:no-preference){p{animation:x 9s} @keyframes x{to{opacity:0}}}</style>\
    <main><h1 id=h>off</h1><p>dark</p><a href=x>unseen</a><div tabindex=0 style=width:700px>wide</div>\
    <a href=y tabindex=-1>missed</a></main><script>h.textContent='on';console.error('fault')</script>";

#[actix_web::test]
async fn the_checks_find_what_they_search_for() {
    let browser = Browser::start().await;
    browser.open(FAULTY).await;
    browser.shows("h1", "on").await;
    assert!(browser.animations().await == 1 && browser.weight().await > 300);
    assert_eq!(browser.axe().await.len(), 0);
    assert!(browser.console_errors().await.iter().any(|said| said.contains("fault")));
    let (stops, missed) = browser.keyboard().await;
    let seen: Vec<_> = stops.iter().map(|stop| (stop.element.as_str(), stop.seen)).collect();
    assert_eq!(seen, [("a  unseen", false), ("div  wide", true)]);
    assert_eq!(missed, ["a  missed"]);

    browser.view(View { dark: true, still: true, zoom: 200, ..View::default() }).await;
    assert!(browser.axe().await.iter().any(|fault| fault.contains("color-contrast")));
    assert_eq!(browser.animations().await, 0);
    assert!(browser.width().await > DESKTOP / 2);
    drop(browser);
    let browser = Browser::without_scripts().await;
    browser.open(FAULTY).await;
    browser.shows("h1", "off").await;
}
