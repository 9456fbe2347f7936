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
