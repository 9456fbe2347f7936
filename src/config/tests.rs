//! Tests of the configuration: sources, types, the key in every fault, and no secret in any output.

use super::*;
use portcullis_actors::domain::AppId;
use std::ffi::OsString;

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn faults(sources: &Sources) -> Vec<String> {
    match Config::load(sources) {
        Ok(_) => Vec::new(),
        Err(error) => error.0.into_iter().map(|fault| fault.0).collect(),
    }
}

fn with_file(text: &str) -> Sources {
    Sources { file: Some(("extra.toml".to_owned(), text.to_owned())), ..Sources::of(Profile::Development) }
}

fn production() -> Sources {
    Sources::of(Profile::Production)
        .with("server.public_url", "https://sign-in.example.com/")
        .with("secrets.keys", SECRET)
        .with("redis.url", "redis://127.0.0.1:6379")
        .with("mail.smtp_url", "smtps://user:hunter2@mail.example.com")
        .with("mail.from", "Fleet <no-reply@example.com>")
        .with("sms.account_sid", "AC123")
        .with("sms.auth_token", "t0k3n-of-sms")
        .with("sms.from", "+15005550006")
}

#[test]
fn every_profile_but_production_loads_as_it_is() {
    for profile in [Profile::Development, Profile::Loadtest] {
        assert_eq!(faults(&Sources::of(profile)), Vec::<String>::new(), "{profile}");
    }
}

#[test]
fn the_numbers_are_those_of_the_policy() {
    let config = Config::load(&Sources::of(Profile::Development)).expect("loads");
    assert_eq!(config.sessions.idle(AppId(1)).as_secs(), 14 * 86_400);
    assert_eq!(config.sessions.absolute(AppId(1)).as_secs(), 30 * 86_400);
    assert_eq!((config.sessions.most, config.phone_codes.guesses, config.phone_codes.digits), (20, 5, 6));
    assert_eq!(config.phone_codes.resend_waits_secs, [30, 60, 120, 300]);
    assert_eq!(config.sandbox.codes.get("+11234567890").map(String::as_str), Some("1988"));
    assert!(Config::load(&Sources::of(Profile::Loadtest)).expect("loads").sandbox.codes.is_empty());
}

#[test]
fn redis_is_found_in_one_way() {
    let of = |values: &[(&str, &str)]| {
        let sources = values.iter().fold(Sources::of(Profile::Development), |all, (key, value)| all.with(key, value));
        faults(&sources)
            .into_iter()
            .map(|fault| fault.split('`').nth(1).unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let (url, sentinels) = (("redis.url", "redis://r:6379"), ("redis.sentinels", "redis://s1:26379,redis://s2:26379"));
    let (name, cluster) = (("redis.master_name", "main"), ("redis.cluster", "redis://c1:6379,redis://c2:6379"));
    for right in [&[url][..], &[sentinels, name], &[sentinels, name, ("redis.tls", "true")], &[cluster]] {
        assert!(of(right).is_empty(), "{right:?}");
    }
    let wrong: [(&[_], &[&str]); 12] = [
        (&[url, cluster], &["redis.url"]),
        (&[url, sentinels, name], &["redis.url"]),
        (&[sentinels, name, cluster], &["redis.cluster"]),
        (&[sentinels], &["redis.master_name"]),
        (&[url, name], &["redis.master_name"]),
        (&[("redis.sentinels", "redis://s1:26379,redis://s2"), name], &["redis.sentinels"]),
        (&[("redis.sentinels", "s1:26379"), name], &["redis.sentinels"]),
        (&[("redis.sentinels", "redis://s1:26379/3"), name], &["redis.sentinels"]),
        (&[("redis.cluster", "c1:6379")], &["redis.cluster"]),
        (&[("redis.cluster", "redis://c1:6379/3")], &["redis.cluster"]),
        (&[url, ("redis.tls", "true")], &["redis.tls"]),
        (&[cluster, ("redis.password", "hunter2")], &["redis.password"]),
    ];
    for (values, keys) in wrong {
        assert_eq!(of(values), keys, "{values:?}");
    }
}

#[test]
fn origins_are_exact() {
    let of = |origins: &str| faults(&Sources::of(Profile::Development).with("server.cors_origins", origins));
    assert!(of("https://app.example.com,http://localhost:3000").is_empty());
    for origin in ["*", "null", "app.example.com", "https://app.example.com/", "https://App.example.com", "ftp://a.b"] {
        assert!(of(origin).iter().any(|fault| fault.starts_with("`server.cors_origins`")), "{origin}");
    }
    assert!(!of("https://app.example.com:443").is_empty(), "browsers do not send the scheme's own port");
}

#[test]
fn a_later_source_goes_over_an_earlier_one() {
    let sources = with_file("[server]\nbind = \"127.0.0.1:1\"\nworkers = 3").with("server.bind", "127.0.0.1:2");
    let config = Config::load(&sources).expect("loads");
    assert_eq!((config.server.bind.port(), config.server.workers), (2, 3));
}

#[test]
fn a_value_of_the_environment_takes_the_type_of_its_key() {
    let sources = Sources::of(Profile::Development)
        .with("sms.from", "+15005550006")
        .with("sms.account_sid", "true")
        .with("hashing.memory_kib", "1024")
        .with("limits.enabled", "false")
        .with("phone_codes.regions", "US, ES")
        .with("phone_codes.resend_waits_secs", "1,2")
        .with("server.trusted_proxies", "10.0.0.0/8,::1")
        .with("sandbox.codes", "+12125550123=4711,+12125550124=0815");
    let config = Config::load(&sources).expect("loads");
    assert_eq!((config.sms.from.as_str(), config.sms.account_sid.as_str()), ("+15005550006", "true"));
    assert!(!config.limits.enabled);
    assert_eq!(config.hashing.memory_kib, 1024);
    assert_eq!(config.phone_codes.regions, ["US", "ES"]);
    assert_eq!(config.phone_codes.resend_waits_secs, [1, 2]);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.sandbox.codes.len(), 2);
}

#[test]
fn an_unknown_key_is_named() {
    let unknown = faults(&with_file("[server]\nbnid = \"x\"\n[nowhere]\nx = 1").with("mail.form", "x"));
    assert_eq!(
        unknown,
        [
            "`nowhere` (extra.toml): unknown key",
            "`server.bnid` (extra.toml): unknown key",
            "`mail.form` (environment PORTCULLIS__MAIL__FORM): unknown key",
        ]
    );
    let section = with_file("").with("server", "x");
    assert_eq!(faults(&section), ["`server` (environment PORTCULLIS__SERVER): unknown key"]);
}

#[test]
fn a_wrong_type_names_its_key_and_all_faults_are_told() {
    let sources = with_file("[server]\nworkers = \"two\"\nbind = \"nowhere\"\n[mail]\ntransport = \"pigeon\"")
        .with("sessions.most", "many")
        .with("hashing.backend", "gpu")
        .with("phone_codes.digits", "-1");
    let told = faults(&sources).join("\n");
    for key in
        ["server.workers", "server.bind", "mail.transport", "sessions.most", "hashing.backend", "phone_codes.digits"]
    {
        assert!(told.contains(&format!("`{key}`")), "{key} is not in {told}");
    }
    assert_eq!(told.lines().count(), 6, "{told}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    assert_eq!(faults(&with_file("[server]\nbind = = 1")).len(), 1);
    assert!(faults(&with_file("[server]\nbind = = 1"))[0].starts_with("extra.toml, line 2: "));
}

#[test]
fn production_wants_everything_that_people_depend_on() {
    let bare = faults(&Sources::of(Profile::Production)).join("\n");
    for key in ["server.public_url", "secrets.keys", "redis.url", "mail.smtp_url", "mail.from", "sms.account_sid"] {
        assert!(bare.contains(&format!("`{key}`")), "{key} is not in {bare}");
    }
    assert_eq!(faults(&production()), Vec::<String>::new());
    for (key, value) in [
        ("mail.transport", "inbox"),
        ("sms.transport", "inbox"),
        ("sandbox.codes", "+11234567890=1988"),
        ("mail.smtp_url", "smtp://mail.example.com"),
        ("sms.base_url", "http://sms.example.com"),
        ("secrets.keys", "c2hvcnQ="),
    ] {
        let told = faults(&production().with(key, value));
        assert!(told.iter().all(|line| line.starts_with(&format!("`{key}"))) && !told.is_empty(), "{key}: {told:?}");
    }
}

#[test]
fn plaintext_is_for_loopback_or_for_those_who_ask() {
    for (key, value) in [("mail.smtp_url", "smtp://127.0.0.1:1025"), ("sms.base_url", "http://[::1]:8000")] {
        assert_eq!(faults(&production().with(key, value)), Vec::<String>::new());
    }
    let asked = production().with("mail.smtp_url", "smtp://mailpit:1025").with("mail.allow_plaintext", "true");
    assert_eq!(faults(&asked), Vec::<String>::new());
    assert_eq!(faults(&production().with("mail.smtp_url", "smtp://m.example.com?tls=required")), Vec::<String>::new());
}

#[test]
fn a_pooler_is_for_postgres_and_has_a_way_past_it() {
    let on = |url: &str, more: &[(&str, &str)]| {
        let sources = Sources::of(Profile::Development).with("database.url", url);
        faults(&more.iter().fold(sources, |sources, (key, value)| sources.with(key, *value)))
    };
    let (sqlite, postgres) = ("sqlite://data/p.db", "postgres://bouncer:6432/p");
    let pooled = ("database.pooler", "transaction");
    assert_eq!(on(postgres, &[pooled, ("database.direct_url", "postgres://one,two/p")]), Vec::<String>::new());
    assert_eq!(on(postgres, &[("database.direct_url", "postgres://one/p")]), Vec::<String>::new());
    for (url, more, says) in [
        (sqlite, &[pooled][..], "`database.pooler`: must be none: a file of SQLite has no pooler"),
        (sqlite, &[("database.direct_url", postgres)], "`database.direct_url`: must be empty: it is for PostgreSQL"),
        (
            postgres,
            &[pooled],
            "`database.direct_url`: must be set with database.pooler: a migration and the claim of server.single_node \
             need a session",
        ),
        (postgres, &[pooled, ("database.direct_url", sqlite)], "`database.direct_url`: must be a URL of PostgreSQL"),
        (
            postgres,
            &[("database.direct_url", "postgres://one,!/p")],
            "`database.direct_url`: must have a host: a name like db.example.com or an address",
        ),
        (postgres, &[("database.pooler", "session")], "`database.pooler`: must be none or transaction"),
    ] {
        assert_eq!(on(url, more), [says]);
    }
}

#[test]
fn no_secret_is_shown() {
    let sources = production().with("database.url", "postgres://ada:pa55@one,two/portcullis");
    let sources = sources.with("database.direct_url", "postgres://ada:pa55@one:5432,two:5432/portcullis");
    let config = Config::load(&sources).expect("loads");
    let shown = format!("{config:?}\n{}", toml::to_string(&config).expect("is TOML"));
    for secret in [SECRET, "hunter2", "t0k3n-of-sms", "pa55"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
    let told = faults(&production().with("secrets.keys", "c2VjcmV0LWluLWEtZmF1bHQ=")).join("\n");
    assert!(!told.contains("c2VjcmV0"), "{told}");
}

/// A file in which every key has this value, `times` times.
fn file_of(value: &str, times: usize) -> String {
    every_key().iter().map(|key| format!("{key} = {value}\n").repeat(times)).collect()
}

/// Every key of the default, as `section.key`.
fn every_key() -> Vec<String> {
    let default: Table = include_str!("../../config/default.toml").parse().expect("is TOML");
    let keys = |(section, keys): (&String, &Value)| {
        let keys = keys.as_table().expect("a section").keys();
        keys.map(|key| format!("{section}.{key}")).collect::<Vec<_>>()
    };
    default.iter().flat_map(keys).collect()
}

#[test]
fn no_fault_shows_a_value_whatever_stands_where() {
    let canaries = [
        "-170141183460469231",
        "1701411834604692317",
        "\"c4n4ry hunter2\"",
        "\"c4n4ry:hunter2@host\"",
        "\"c4n4ry://u:hunter2@ho st:99999/x?tls=hunter2\"",
        "1701411834.5",
        "1979-05-27T07:32:00Z",
        "[\"c4n4ry\", 1701411834]",
        "[1701411834, \"c4n4ry\"]",
        "[[\"c4n4ry\"]]",
        "{ a = \"c4n4ry\", b = 1701411834 }",
        "[{ base_url = \"c4n4ry\", account_sid = 1701411834, auth_token = \"x\", from = \"x\" }]",
        "[{ base_url = \"http://c4n4ry\", account_sid = \"c4n4ry \", auth_token = 1701411834, from = \"c4n4ry\" }]",
        "[{ auth_token = \"c4n4ry\" }]",
        "c4n4ry",
        "\"c4n4ry",
        "0xc4n4ry",
        "17014118346046923173168730371588410572",
        "\"c4n4ry\" \"hunter2\"",
        "\"c4n4ry\\q\"",
    ];
    let shows = |fault: &String| ["c4n4ry", "hunter2", "17014118", "1979"].iter().any(|value| fault.contains(value));
    for canary in canaries {
        let plain = canary.trim_matches('"');
        let environment = every_key().iter().fold(Sources::of(Profile::Production), |all, key| all.with(key, plain));
        let file = |text: String| Sources { profile: Profile::Production, ..with_file(&text) };
        for sources in [file(file_of(canary, 1)), file(file_of(canary, 2)), environment] {
            let told = faults(&sources);
            assert!(!told.is_empty(), "{canary}");
            assert!(!told.iter().any(shows), "{canary}: {told:?}");
            assert!(!told.iter().any(|line| line.contains('\n')), "{canary}: {told:?}");
        }
    }
}

#[test]
fn a_fault_says_what_the_key_takes() {
    let fallback = "[[sms.fallback]]\nbase_url = \"https://a.example\"\naccount_sid = \"AC1\"\n";
    for (file, says) in [
        ("[log]\nformat = \"xml\"".to_owned(), "`log.format`: must be text or json"),
        ("[server]\nbind = \"here\"".to_owned(), "`server.bind`: must be an address with its port like 127.0.0.1:8080"),
        ("[sessions]\nmost = -1".to_owned(), "`sessions.most`: must be a whole number, 0 or more"),
        (
            "[phone_codes]\nguesses = 5000000000".to_owned(),
            "`phone_codes.guesses`: must be a whole number from 0 to 4294967295",
        ),
        (format!("{fallback}auth_token = 1234\nfrom = \"x\""), "`sms.fallback[0].auth_token`: must be text"),
        (format!("{fallback}auth_token = \"x\""), "`sms.fallback[0]`: must have from"),
        (
            format!("{fallback}auth_token = \"x\"\nfrom = \"x\"\nform = \"x\""),
            "`sms.fallback[0].form`: unknown key. The keys are base_url, account_sid, auth_token, from",
        ),
    ] {
        assert_eq!(faults(&with_file(&file)), [says], "{file}");
    }
}

#[test]
fn the_profile_and_the_file_come_from_the_process() {
    let variables = |profile: &str| {
        [("PORTCULLIS_PROFILE", profile), ("PORTCULLIS__LOG__FILTER", "debug"), ("PORTCULLIS_TEST_POSTGRES", "x")]
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
    };
    let sources = Sources::read(variables("production"), None).expect("reads");
    assert_eq!((sources.profile, sources.settings.len()), (Profile::Production, 1));
    assert!(Sources::read(variables("prod"), None).is_err());
    let missing = Sources::read(variables("loadtest"), Some(Path::new("/nonexistent/x.toml"))).expect("reads");
    assert_eq!(faults(&missing).len(), 1);
}
