//! The document of the API in the hands of the tools that its users have: a validator, generators of clients for Python and
//! TypeScript, and Schemathesis, which calls everything that the document knows with values that it made up. And the files
//! for deployments in the hands of those that check them.

mod deployments;

use portcullis::http::{OPERATIONS, Operation};
use portcullis_actors::domain::KeyScope;
use portcullis_testkit::live::Live;
use portcullis_testkit::tools::tool;
use reqwest::Method;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

const PASSWORD: &str = "a purple kettle sings at dawn";

/// A server, and a folder with its document, `openapi.json`.
async fn documented(settings: &[(&str, &str)]) -> (Live, TempDir) {
    let live = Live::start_with(settings).await;
    let answer = live.request(Method::GET, "/openapi.json").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let folder = tempfile::tempdir().expect("a folder");
    let text = answer.text().await.expect("a text");
    std::fs::write(folder.path().join("openapi.json"), text).expect("written");
    (live, folder)
}

/// A tool in a folder, without what the environment says to it.
fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(tool(name));
    let search = format!("{}:/usr/bin:/bin", tool("bin").display());
    command.current_dir(folder).env_clear().env("PATH", search).env("HOME", folder);
    command
}

/// Runs a command to its end; returns its standard output.
///
/// # Panics
/// When it fails, with what it said.
async fn run(command: &mut Command) -> String {
    let output = command.output().await.expect("it starts");
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// A file beside this one.
fn beside(name: &str) -> String {
    format!("{}/tests/tools/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[actix_web::test]
async fn the_document_is_valid() {
    let (live, folder) = documented(&[]).await;
    run(command("bin/openapi-spec-validator", folder.path()).arg("openapi.json")).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_generated_python_client_signs_in_and_out() {
    let (live, folder) = documented(&[]).await;
    std::fs::write(folder.path().join("config.yml"), "post_hooks: []\n").expect("written");
    let mut generate = command("bin/openapi-python-client", folder.path());
    generate.args(["generate", "--path", "openapi.json", "--output-path", "client", "--meta", "none"]);
    // A part of the document that it cannot read is a failure.
    run(generate.args(["--config", "config.yml", "--fail-on-warning"])).await;
    live.add_user("ada", PASSWORD).await;
    let mut journey = command("bin/python", folder.path());
    journey.env("PYTHONPATH", folder.path()).arg("-B").arg(beside("journey.py"));
    run(journey.args([&live.url, "ada@example.com", PASSWORD])).await;
    live.stop().await;
}

#[actix_web::test]
async fn generated_types_for_typescript_describe_what_the_server_does() {
    let (live, folder) = documented(&[]).await;
    let mut generate = command("node_modules/.bin/openapi-typescript", folder.path());
    run(generate.args(["openapi.json", "-o", "api.ts"])).await;
    std::fs::copy(beside("journey.ts"), folder.path().join("journey.ts")).expect("copied");
    let mut compile = command("node_modules/.bin/tsc", folder.path());
    compile.args(["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "esnext"]);
    run(compile.args(["--moduleResolution", "bundler", "journey.ts"])).await;
    live.add_user("ada", PASSWORD).await;
    let mut journey = command("bin/node", folder.path());
    run(journey.args(["journey.ts", &live.url, "ada@example.com", PASSWORD])).await;
    live.stop().await;
}

#[actix_web::test]
async fn the_server_answers_only_what_its_document_knows() {
    let (live, folder) = documented(&[("limits.enabled", "false")]).await;
    // Schemathesis deletes and disables whom it finds.
    live.new_users_are_above(1_000_000_000).await;
    let user = live.add_user("ada", PASSWORD).await;
    let key = live.add_key("beyondvip", user, &KeyScope::ALL).await;
    let mut fuzz = command("bin/schemathesis", folder.path());
    fuzz.env("SCHEMATHESIS_HOOKS", "credentials").env("PYTHONPATH", beside("")).env("PYTHONDONTWRITEBYTECODE", "1");
    fuzz.env("PORTCULLIS_URL", &live.url).env("PORTCULLIS_KEY", key).env("PORTCULLIS_PASSWORD", PASSWORD);
    fuzz.args(["run", "openapi.json", "--url", &live.url, "--no-color"]);
    fuzz.args(["--seed", "20251124", "--max-examples", "20", "--phases", "examples,coverage,fuzzing"]);
    fuzz.args(["--generation-database", "none", "--warnings", "off", "--continue-on-failure"]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance";
    run(fuzz.args(["--checks", checks])).await;
    let metrics = live.client.get(&live.metrics).send().await.expect("an answer").text().await.expect("a text");
    live.stop().await;
    // Else it may have seen nothing but refusals. Nobody guesses the password that a new one needs.
    let answered = |operation: &Operation| {
        let (route, method) = (operation.route.pattern(), operation.verb.as_str());
        ["200", "201", "204", "404"].iter().any(|status| {
            let series = format!("{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} ");
            metrics.lines().any(|line| line.contains(&series) && !line.ends_with(" 0"))
        })
    };
    let refused: Vec<_> =
        OPERATIONS.iter().filter(|operation| !answered(operation)).map(|operation| operation.endpoint.id).collect();
    assert_eq!(refused, ["setPassword"], "never let in");
}
