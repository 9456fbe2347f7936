//! Single faults in a valid configuration: `config check` finds and names each one, and shows no value.

use super::production::production;

/// Secrets that no output may contain.
const SECRETS: [&str; 3] = ["hunter2", "4711471147", "c4n4ry"];

/// An invalid variable with its value, and the text that names it.
const VARIABLES: [(&str, &str, &str); 42] = [
    ("PORTCULLIS_SERVER__BIND", "127.0.0.1:0", "PORTCULLIS_SERVER__BIND"),
    ("PORTCULLIS_SERVER_BIND", "hunter2", "PORTCULLIS_SERVER_BIND"),
    ("PORTCULLIS_REDIS_PORT", "6379", "PORTCULLIS_REDIS_PORT"),
    ("portcullis__server__bind", "127.0.0.1:0", "portcullis__server__bind"),
    ("PORTCULLIS__server__bind", "127.0.0.1:0", "PORTCULLIS__SERVER__BIND and PORTCULLIS__server__bind"),
    ("PORTCULLIS__SERVER__BNID", "hunter2", "`server.bnid`"),
    ("PORTCULLIS__SERVER", "hunter2", "`server`"),
    ("PORTCULLIS__SERVER__BIND", "hunter2:99999", "`server.bind`"),
    ("PORTCULLIS__SERVER__WORKERS", "hunter2", "`server.workers`"),
    ("PORTCULLIS__SERVER__TRUSTED_PROXIES", "10.0.0.0/33", "`server.trusted_proxies`"),
    ("PORTCULLIS__SERVER__PUBLIC_URL", "https://hunter2:hunter2@sign-in.example.com", "`server.public_url`"),
    ("PORTCULLIS__SERVER__PUBLIC_URL", "https://sign_in-.example.com", "`server.public_url`"),
    ("PORTCULLIS__SERVER__PUBLIC_URL", "https://sign-in.example.com:0", "`server.public_url`"),
    ("PORTCULLIS__SECRETS__KEYS", "hunter2", "`secrets.keys[0]`"),
    ("PORTCULLIS__LOG__FILTER", "inof", "`log.filter`"),
    ("PORTCULLIS__LOG__FILTER", "portcullis=loud", "`log.filter`"),
    ("PORTCULLIS__LOG__FORMAT", "c4n4ry", "`log.format`"),
    ("PORTCULLIS__DATABASE__URL", "mysql://ada:hunter2@db/x", "`database.url`"),
    ("PORTCULLIS__DATABASE__URL", "postgres://ada:hunter2@-db/x", "`database.url`"),
    ("PORTCULLIS__DATABASE__URL", "postgres://ada:hunter2@db:99999/x", "`database.url`"),
    ("PORTCULLIS__DATABASE__URL", "postgres://ada:hunter2@db/x?sslmode=c4n4ry", "`database.url`"),
    ("PORTCULLIS__DATABASE__URL", "postgres://ada@db/x?pasword=hunter2", "`database.url`"),
    ("PORTCULLIS__DATABASE__URL", "sqlite::memory:", "`database.url`"),
    ("PORTCULLIS__REDIS__URL", "redis://:hunter2@db/zero", "`redis.url`"),
    ("PORTCULLIS__REDIS__URL", "redis://:hunter2@256.1.1.1", "`redis.url`"),
    ("PORTCULLIS__REDIS__URL", "redis://:hunter2@db:0", "`redis.url`"),
    ("PORTCULLIS__REDIS__URL", "redis://:hun#ter@db", "`redis.url`"),
    ("PORTCULLIS__MAIL__SMTP_URL", "smtps://u:hunter2@mail.example.com?tls=maybe", "`mail.smtp_url`"),
    ("PORTCULLIS__MAIL__SMTP_URL", "smtps://u:hunter2@mail..example.com", "`mail.smtp_url`"),
    ("PORTCULLIS__MAIL__SMTP_URL", "smtps://hunter2@mail.example.com", "`mail.smtp_url`"),
    ("PORTCULLIS__MAIL__SMTP_URL", "smtps://u:hunter2%@mail.example.com", "`mail.smtp_url`"),
    ("PORTCULLIS__MAIL__SMTP_URL", "smtp://u:hunter2@mail.example.com", "`mail.smtp_url`"),
    ("PORTCULLIS__MAIL__FROM", "c4n4ry@@valid", "`mail.from`"),
    ("PORTCULLIS__MAIL__FROM", "Fleet\nBcc: c4n4ry <no-reply@example.com>", "`mail.from`"),
    ("PORTCULLIS__SMS__BASE_URL", "https://api.exa mple.com", "`sms.base_url`"),
    ("PORTCULLIS__SMS__BASE_URL", "https://AC1:hunter2@api.example.com", "`sms.base_url`"),
    ("PORTCULLIS__SMS__ACCOUNT_SID", "A c4n4ry", "`sms.account_sid`"),
    ("PORTCULLIS__SMS__AUTH_TOKEN", "hunter2 ", "`sms.auth_token`"),
    ("PORTCULLIS__SMS__FROM", "4711471147", "`sms.from`"),
    ("PORTCULLIS__SESSIONS__MOST", "-4711471147", "`sessions.most`"),
    ("PORTCULLIS__DELIVERY__SMS_LEASE_SECS", "1", "`delivery.sms_lease_secs`"),
    ("PORTCULLIS__SANDBOX__CODES", "+4711471147=1988", "`sandbox.codes`"),
];

/// A file that is wrong, and what must be told.
const FILES: [(&str, &str); 8] = [
    ("[server]\nworkers = 1\n\n[mail]\nfrom = \"a@example.com\"\n\n[server]\nkeep_alive_secs = 2\n", "`server`"),
    ("[server]\nworkers = 1\nworkers = 2\n", "`server.workers` (extra.toml, line 3)"),
    ("[redis]\nurl = hunter2\n", "extra.toml, line 2"),
    ("[redis]\nurl = \"hunter2\n", "extra.toml, line 2"),
    ("[mail]\nform = \"c4n4ry\"\n", "`mail.form`"),
    ("[log]\nfilter = 4711471147\n", "`log.filter`"),
    (
        "[[sms.fallback]]\nbase_url = \"https://a.example\"\naccount_sid = \"A1\"\nauth_token = 4711471147\nfrom = \"x\"\n",
        "`sms.fallback[0].auth_token`",
    ),
    (
        "[[sms.fallback]]\nbase_url = \"https://-\"\naccount_sid = \"A1\"\nauth_token = \"hunter2\"\nfrom = \"x\"\n",
        "`sms.fallback[0].base_url`",
    ),
];

#[test]
fn what_is_in_order_is_not_complained_about() {
    let of_kubernetes = [
        ("PORTCULLIS_SERVICE_HOST", "10.96.0.12"),
        ("PORTCULLIS_SERVICE_PORT", "8080"),
        ("PORTCULLIS_SERVICE_PORT_HTTP", "8080"),
        ("PORTCULLIS_PORT", "tcp://10.96.0.12:8080"),
        ("PORTCULLIS_PORT_8080_TCP", "tcp://10.96.0.12:8080"),
        ("PORTCULLIS_PORT_8080_TCP_PROTO", "tcp"),
        ("PORTCULLIS_PORT_8080_TCP_PORT", "8080"),
        ("PORTCULLIS_PORT_8080_TCP_ADDR", "10.96.0.12"),
        ("PORTCULLIS_REDIS_SERVICE_HOST", "10.96.0.13"),
        ("PORTCULLIS_REDIS_PORT", "tcp://10.96.0.13:6379"),
        ("PORTCULLIS_TEST_POSTGRES", "postgres://127.0.0.1/x"),
        ("PORTCULLISX", "1"),
    ];
    let shell = production("redis://127.0.0.1:1");
    let shell = of_kubernetes.iter().fold(shell, |shell, (name, value)| shell.variable(name, value));
    assert_eq!(shell.run(&["config", "check"]).err, "");
}

#[test]
fn every_deliberate_fault_is_found_and_shows_no_value() {
    let found = |shell: super::shell::Shell, arguments: &[&str], told: &str| {
        let ended = shell.run(arguments);
        assert_eq!(ended.code, 1, "{told} is not found");
        assert!(ended.err.lines().any(|line| line.contains(told)), "{told} is not told: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{told} is one fault: {}", ended.err);
        for secret in SECRETS {
            assert!(!ended.err.contains(secret) && !ended.out.contains(secret), "{told}: {}", ended.err);
        }
    };
    for (name, value, told) in VARIABLES {
        found(production("redis://127.0.0.1:1").variable(name, value), &["config", "check"], told);
    }
    for (text, told) in FILES {
        let shell = production("redis://127.0.0.1:1");
        shell.file("extra.toml", text);
        found(shell, &["config", "check", "--config", "extra.toml"], told);
    }
}

#[test]
fn all_faults_are_told_at_once_wherever_they_are() {
    let shell = production("redis://127.0.0.1:1")
        .variable("PORTCULLIS_SERVER__BIND", "x")
        .variable("PORTCULLIS__REDIS__URL", "redis://db/zero")
        .variable("PORTCULLIS__server__bind", "127.0.0.1:0");
    shell.file("extra.toml", "[server]\nworkers = 1\nworkers = 2\n[mail]\nform = \"x\"\nallow_plaintext = 3\n");
    let told = shell.run(&["config", "check", "--config", "extra.toml"]).err;
    assert_eq!(told.lines().count(), 6, "{told}");
    let missing = shell.run(&["config", "check", "--config", "nowhere.toml"]).err;
    assert_eq!(missing.lines().count(), 4, "{missing}");
}
