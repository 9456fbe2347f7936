//! The manifests for Kubernetes, the systemd unit and the compose file: valid for their own tools, and each variable,
//! credential and setting in them is accepted by the configuration of the server.

use super::{beside, command, run};
use portcullis::config::{Config, ConfigError, Sources};
use portcullis::http::OPERATIONS;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use toml::Table;

/// The folder where manifests and unit have the secrets, and one for each that would be valid.
const MOUNTED: &str = "/run/secrets/portcullis/";
const SECRETS: [(&str, &str); 5] = [
    ("database.url", "postgres://portcullis:hunter2@postgres.example.com/portcullis\n"),
    ("redis.url", "redis://:hunter2@redis.example.com:6379\n"),
    ("secrets.keys", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
    ("mail.smtp_url", "smtps://user:hunter2@mail.example.com\n"),
    ("sms.auth_token", "hunter2\n"),
];

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The sources of a process with these variables.
fn sources(variables: &BTreeMap<String, String>, file: Option<&Path>) -> Sources {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Sources::read(variables, file).expect("a profile")
}

/// The keys that the server does not accept.
fn refused(loaded: Result<Config, ConfigError>) -> Vec<String> {
    let faults = loaded.err().map_or(Vec::new(), |error| error.0);
    let keys = faults.into_iter().map(|fault| fault.0.split('`').nth(1).unwrap_or(&fault.0).to_owned());
    keys.collect()
}

/// The objects that the folder is rendered to.
async fn rendered() -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut kubectl = tokio::process::Command::new("kubectl");
    let manifests = run(kubectl.arg("kustomize").arg(top("config/kubernetes")).env("HOME", folder.path())).await;
    std::fs::write(folder.path().join("all.yaml"), manifests).expect("written");
    let all = std::fs::File::open(folder.path().join("all.yaml")).expect("readable");
    let mut validate = command("bin/python", folder.path());
    validate.arg("-B").arg(beside("manifests.py")).args(["kubernetes", "1.30", "1.37"]).stdin(all);
    serde_json::from_str(&run(&mut validate).await).expect("JSON")
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Whether the labels have all those of the selector.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().expect("a selector");
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
}

#[actix_web::test]
async fn the_pods_of_kubernetes_have_a_configuration_that_is_accepted() {
    let objects = rendered().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("portcullis.toml");
    let config_map = text(&of_kind(&objects, "ConfigMap")[0]["data"]["portcullis.toml"]).to_owned();
    std::fs::write(&config, &config_map).expect("written");
    for (key, content) in SECRETS {
        std::fs::write(folder.path().join(key), content).expect("written");
    }
    let (deployment, job) = (of_kind(&objects, "Deployment")[0], of_kind(&objects, "Job")[0]);
    let mut seen = Vec::new();
    for pod in [&deployment["spec"]["template"]["spec"], &job["spec"]["template"]["spec"]] {
        for container in list(&pod["initContainers"]).iter().chain(list(&pod["containers"])) {
            let arguments: Vec<_> = list(&container["args"]).iter().map(text).collect();
            assert_eq!(arguments[arguments.len() - 2..], ["--config", "/etc/portcullis/portcullis.toml"]);
            // As the image sets it.
            let mut variables = BTreeMap::from([("PORTCULLIS_PROFILE".to_owned(), "production".to_owned())]);
            for variable in list(&container["env"]) {
                let path = text(&variable["value"]).replace(MOUNTED, &format!("{}/", folder.path().display()));
                variables.insert(text(&variable["name"]).to_owned(), path);
            }
            let sources = sources(&variables, Some(&config));
            let refused = match arguments[0] {
                "serve" => refused(Config::load(&sources)),
                _ => refused(Config::load_sections(&sources, |section| section == "database")),
            };
            assert_eq!(refused, [""; 0], "{arguments:?}");
            seen.push(arguments[..arguments.len() - 2].join(" "));
        }
    }
    assert_eq!(seen, ["migrate --wait", "serve", "migrate"]);

    let config: Table = config_map.parse().expect("TOML");
    let seconds = |key: &str| config["server"][key].as_integer().expect("a number");
    let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    assert_eq!(grace.as_i64(), Some(seconds("drain_secs") + seconds("shutdown_secs") + 5));
}

#[actix_web::test]
async fn the_objects_of_kubernetes_fit_each_other() {
    let objects = rendered().await;
    let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let config: Table = text(&of_kind(&objects, "ConfigMap")[0]["data"]["portcullis.toml"]).parse().expect("TOML");
    let port =
        |section: &str| config[section]["bind"].as_str().expect("an address").rsplit(':').next().map(str::to_owned);
    let ports: BTreeMap<_, _> =
        list(&container["ports"]).iter().map(|port| (text(&port["name"]), port["containerPort"].to_string())).collect();
    assert_eq!((ports.get("http").cloned(), ports.get("admin").cloned()), (port("server"), port("admin")));

    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], "http", "{probe}");
        assert!(OPERATIONS.iter().any(|operation| operation.route.pattern() == text(&asked["path"])), "{probe}");
    }
    let job = &of_kind(&objects, "Job")[0]["spec"]["template"]["metadata"]["labels"];
    for service in of_kind(&objects, "Service") {
        let selector = &service["spec"]["selector"];
        assert!(selects(selector, &pod["metadata"]["labels"]) && !selects(selector, job), "{service}");
        assert!(list(&service["spec"]["ports"]).iter().all(|port| ports.contains_key(text(&port["targetPort"]))));
    }
    let monitor = &of_kind(&objects, "ServiceMonitor")[0]["spec"];
    let watched: Vec<_> = of_kind(&objects, "Service")
        .into_iter()
        .filter(|service| selects(&monitor["selector"]["matchLabels"], &service["metadata"]["labels"]))
        .collect();
    assert_eq!(watched.len(), 1, "{monitor}");
    assert_eq!(watched[0]["spec"]["ports"][0]["name"], monitor["endpoints"][0]["port"]);
    assert_eq!(watched[0]["metadata"]["labels"][text(&monitor["jobLabel"])], "portcullis", "the job of alerts.yml");
    let policy = &of_kind(&objects, "NetworkPolicy")[0]["spec"];
    assert!(selects(&policy["podSelector"]["matchLabels"], &pod["metadata"]["labels"]));
    let let_in: Vec<_> = list(&policy["ingress"]).iter().map(|rule| text(&rule["ports"][0]["port"])).collect();
    assert_eq!(let_in, ["http", "admin"]);
    let budget = &of_kind(&objects, "PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"];
    assert!(selects(budget, &pod["metadata"]["labels"]) && !selects(budget, job));
}

/// The unit with the built binary and another folder for the files of its credentials.
fn unit() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = std::fs::read_to_string(top("config/systemd/portcullis.service")).expect("readable");
    (folder, unit.replace("/usr/local/bin/portcullis", env!("CARGO_BIN_EXE_portcullis")))
}

#[actix_web::test]
async fn systemd_finds_no_fault_in_the_unit() {
    let (folder, unit) = unit();
    let path = folder.path().join("portcullis.service");
    std::fs::write(&path, unit).expect("written");
    let analyze = |arguments: &[&str]| {
        let mut analyze = tokio::process::Command::new("systemd-analyze");
        analyze.args(arguments).arg(&path).env_remove("CREDENTIALS_DIRECTORY");
        analyze
    };
    let output = analyze(&["verify", "--man=no"]).output().await.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    // A fault that systemd ignores, such as an unknown key, is only a line.
    assert!(output.status.success() && said.is_empty(), "{said}");
    run(&mut analyze(&["security", "--offline=yes", "--threshold=20"])).await;
}

#[test]
fn the_credentials_of_the_unit_are_accepted() {
    let (folder, unit) = unit();
    let loaded: Vec<_> =
        unit.lines().filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':')).collect();
    for (name, path) in &loaded {
        let secret = SECRETS.iter().find(|(key, _)| path.rsplit('/').next() == Some(key));
        std::fs::write(folder.path().join(name), secret.expect("a secret").1).expect("written");
    }
    assert_eq!(loaded.len(), SECRETS.len());
    let file = folder.path().join("portcullis.toml");
    let settings = "[server]\npublic_url = \"https://id.example.com\"\n[mail]\nfrom = \"no-reply@example.com\"\n\
                    [sms]\naccount_sid = \"AC1\"\nfrom = \"+15005550006\"\n";
    std::fs::write(&file, settings).expect("written");
    let variables = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let mut variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(variables.len(), 1, "{variables:?}");
    variables.insert("CREDENTIALS_DIRECTORY".to_owned(), folder.path().to_str().expect("text").to_owned());
    assert_eq!(refused(Config::load(&sources(&variables, Some(&file)))), [""; 0]);
}

/// The compose file with these variables.
async fn composed(variables: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let mut validate = command("bin/python", folder.path());
    validate.arg("-B").arg(beside("manifests.py")).arg("compose").arg(top("docker-compose.yml"));
    validate.env("SECRET_KEY", SECRETS[2].1.trim()).envs(variables.iter().copied());
    serde_json::from_str(&run(&mut validate).await).expect("JSON")
}

/// What the top of the compose file says about sentinels.
const SENTINELS: [(&str, &str); 3] = [
    ("REDIS_URL", ""),
    ("REDIS_MASTER_NAME", "portcullis"),
    (
        "REDIS_SENTINELS",
        "redis://portcullis-sentinel-1:26379,redis://portcullis-sentinel-2:26379,redis://portcullis-sentinel-3:26379",
    ),
];

#[actix_web::test]
async fn the_variables_of_the_compose_file_are_accepted() {
    let refused_with = async |variables: &[(&str, &str)]| {
        let app = composed(variables).await["services"]["app"]["environment"].clone();
        let app = app.as_object().expect("variables");
        let variables = app.iter().map(|(name, value)| (name.clone(), text(value).to_owned())).collect();
        refused(Config::load(&sources(&variables, None)))
    };
    assert_eq!(refused_with(&[]).await, [""; 0]);
    // Sentinels are enough instead of a URL.
    assert_eq!(refused_with(&SENTINELS).await, [""; 0]);
    let file = std::fs::read_to_string(top("docker-compose.yml")).expect("readable");
    for (name, value) in SENTINELS {
        assert!(file.contains(&format!("{name}={value}")), "its top says something else about {name}");
    }
}

#[actix_web::test]
async fn the_sentinels_of_the_compose_file_watch_its_master() {
    let master = Redis::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let compose = composed(&SENTINELS).await;
    let sentinel = &compose["services"]["sentinel"];
    let script = text(&sentinel["command"][2])
        .replace("port 26379", &format!("port {}\nbind 127.0.0.1", free.port()))
        .replace(" redis 6379 ", &format!(" 127.0.0.1 {} ", master.address().port()));
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path()).kill_on_drop(true);
    let _sentinel = shell.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let ask = async |words: &[&str]| {
        let mut cli = tokio::process::Command::new("redis-cli");
        let asked = cli.args(["-p", &free.port().to_string()]).args(words).output().await;
        asked.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let address = format!("127.0.0.1\n{}\n", master.address().port());
    eventually("the sentinel has a master of that name", async || {
        ask(&["sentinel", "get-master-addr-by-name", SENTINELS[1].1]).await == address
    })
    .await;
    let listening = ask(&["sentinel", "sentinels", SENTINELS[1].1]).await;
    assert!(listening.trim().is_empty(), "it is alone: {listening}");
}
