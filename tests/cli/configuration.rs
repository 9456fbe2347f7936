//! `config check|dump`: layers, faults by name, exit codes, and no secret on the screen.

use super::shell::Shell;

#[test]
fn a_good_configuration_is_0_and_writes_nothing() {
    let shell = Shell::new("development");
    let checked = shell.json(&["config", "check"]);
    assert_eq!((checked["ok"].as_bool(), checked["profile"].as_str()), (Some(true), Some("development")));
    let folder = shell.file("probe", "").parent().expect("a folder").to_owned();
    assert!(!folder.join("data").exists(), "checking makes no files");
}

#[test]
fn every_fault_is_a_line_that_names_its_key() {
    let shell = Shell::new("production").with("server.bnid", "x").with("sessions.most", "many");
    let ended = shell.run(&["config", "check"]);
    assert_eq!(ended.code, 1);
    for key in ["server.bnid", "sessions.most", "server.public_url", "secrets.keys", "redis.url", "mail.smtp_url"] {
        let lines = ended.err.lines().filter(|line| line.contains(&format!("`{key}`")));
        assert_eq!(lines.count(), 1, "{key} is not told once in {}", ended.err);
    }
}

#[test]
fn the_file_goes_over_the_profile_and_the_environment_over_the_file() {
    let shell = Shell::new("development").with("server.workers", "7");
    let file = shell.file("extra.toml", "[server]\nworkers = 3\nbind = \"127.0.0.1:9999\"\n");
    let dumped = shell.json(&["config", "dump", "--config", file.to_str().expect("a name")]);
    assert_eq!(dumped["server"]["workers"], 7);
    assert_eq!(dumped["server"]["bind"], "127.0.0.1:9999");
    let missing = shell.refused(&["config", "check", "--config", "nowhere.toml"]);
    assert!(missing.contains("nowhere.toml"), "{missing}");
    let broken = shell.file("broken.toml", "[server\n");
    assert!(shell.refused(&["config", "check", "--config", broken.to_str().expect("a name")]).contains("broken.toml"));
}

#[test]
fn a_number_of_the_environment_stays_text_where_text_is_due() {
    let shell = Shell::new("development").with("sms.from", "+15005550006").with("sms.account_sid", "0123");
    let dumped = shell.json(&["config", "dump"]);
    assert_eq!(dumped["sms"]["from"], "+15005550006");
    assert_eq!(dumped["sms"]["account_sid"], "0123");
    let text = shell.run(&["config", "dump"]).out;
    assert!(text.contains("from = \"+15005550006\""), "{text}");
}

#[test]
fn an_unknown_profile_is_refused() {
    let line = Shell::new("prod").refused(&["config", "check"]);
    assert!(line.contains("PORTCULLIS_PROFILE") && line.contains("production"), "{line}");
}

#[test]
fn no_secret_is_dumped() {
    let shell = Shell::new("development")
        .with("secrets.keys", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("sms.auth_token", "twilio-t0ken")
        .with("mail.smtp_url", "smtps://ada:hunter2@mail.example.com")
        .with("redis.url", "redis://:pa55@127.0.0.1");
    for dumped in [shell.run(&["config", "dump"]).out, shell.run(&["config", "dump", "--json"]).out] {
        for secret in ["AAECAwQF", "twilio-t0ken", "hunter2", "pa55"] {
            assert!(!dumped.contains(secret), "{secret} is in {dumped}");
        }
        assert!(dumped.contains("mail.example.com"), "{dumped}");
    }
}

#[test]
fn secrets_come_from_files_and_credentials() {
    let shell = Shell::new("development");
    let redis = shell.file("redis", "redis://ada:pa55@redis.example.com\n");
    shell.file("portcullis.mail.smtp_url", "smtps://ada:hunter2@mail.example.com\n");
    shell.file("portcullis.sms.fallback.0.auth_token", "twilio-t0ken\n");
    let credentials = redis.parent().expect("a folder").to_owned();
    let shell = shell
        .variable("PORTCULLIS__REDIS__URL_FILE", redis.to_str().expect("text"))
        .variable("CREDENTIALS_DIRECTORY", credentials.to_str().expect("text"))
        .with("sms.fallback__0__base_url", "https://sms.example.com")
        .with("sms.fallback__0__account_sid", "AC2")
        .with("sms.fallback__0__from", "+15005550006");
    let dumped = shell.json(&["config", "dump"]);
    assert_eq!(dumped["redis"]["url"], "redis://ada:…@redis.example.com");
    assert_eq!(dumped["mail"]["smtp_url"], "smtps://ada:…@mail.example.com");
    assert_eq!(dumped["sms"]["fallback"][0]["account_sid"], "AC2");
    assert_eq!(dumped["sms"]["fallback"][0]["auth_token"], "…");
    let shell = shell.variable("PORTCULLIS__MAIL__SMTP_URL", "smtps://mail.example.com");
    let twice = shell.refused(&["config", "check"]);
    assert!(
        twice.contains("environment PORTCULLIS__MAIL__SMTP_URL and credential portcullis.mail.smtp_url"),
        "{twice}"
    );
}

#[test]
fn a_bad_secret_file_is_one_line_and_nobody_is_let_in() {
    let shell = Shell::new("development");
    let secret = shell.file("secret", "hunter2\n");
    let folder = secret.parent().expect("a folder").to_owned();
    let shell = |name: &str, path: &std::path::Path| {
        Shell::new("development").variable(name, path.to_str().expect("text")).refused(&["serve"])
    };
    for (name, path) in [
        ("PORTCULLIS__SECRETS__KEYS_FILE", secret.as_path()),
        ("PORTCULLIS__DATABASE__URL_FILE", secret.as_path()),
        ("PORTCULLIS__SMS__FALLBACK__0__TOKEN_FILE", secret.as_path()),
        ("PORTCULLIS__REDIS__URI_FILE", secret.as_path()),
        ("PORTCULLIS__REDIS__URL_FILE", folder.as_path()),
        ("PORTCULLIS__REDIS__URL_FILE", &folder.join("nowhere")),
    ] {
        let line = shell(name, path);
        assert!(line.contains(name) && !line.contains("hunter2"), "{line}");
    }
    let line = shell("PORTCULLIS__REDIS__URL_FILE", &folder.join("nowhere"));
    assert!(line.contains("nowhere") && line.contains("cannot be read"), "{line}");
    let relative = shell("PORTCULLIS__SECRETS__KEYS_FILE", std::path::Path::new("hunter2"));
    assert!(relative.contains("absolute path") && !relative.contains("hunter2"), "{relative}");
}
