//! Reports of SMS providers: they are passed on unchanged, and answered by the result of the notifier.

use super::app::{App, problem};
use super::probe::Mood;
use portcullis_actors::error::{Dependency, ErrorKind};
use portcullis_actors::notifier::RecordReport;
use reqwest::RequestBuilder;

fn report(app: &App, body: &'static str) -> RequestBuilder {
    app.request("POST", "/callbacks/sms/twilio.json")
        .header("x-twilio-signature", "c2lnbmVk")
        .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
        .body(body)
}

#[actix_web::test]
async fn a_report_is_handed_on_as_it_came() {
    let app = App::start().await;
    let response = report(&app, "MessageSid=SM1&Body=&To=%2B1212&To=a+b").send().await.expect("an answer");
    assert_eq!(response.status(), 204);
    let heard: RecordReport = app.probe.only();
    assert_eq!((heard.provider.as_str(), heard.signature.as_str()), ("twilio.json", "c2lnbmVk"));
    let params: Vec<_> = heard.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(params, [("MessageSid", "SM1"), ("Body", ""), ("To", "+1212"), ("To", "a b")]);
}

#[actix_web::test]
async fn what_is_not_genuine_or_cannot_be_kept_is_refused() {
    let app = App::start().await;
    app.probe.be(Mood::Inactive);
    problem(report(&app, "MessageSid=SM1"), 403, "forbidden").await;
    app.probe.be(Mood::Refusing(ErrorKind::DependencyUnavailable(Dependency::Database)));
    problem(report(&app, "MessageSid=SM1"), 503, "dependency_unavailable").await;
    let before = app.probe.count();
    problem(report(&app, "MessageSid=%ff"), 400, "malformed_request").await;
    assert_eq!(app.probe.count(), before);
}
