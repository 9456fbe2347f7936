//! Tests of values in files, of credentials, and of the items of `sms.fallback`.

use super::*;
use std::ffi::OsString;
use tempfile::TempDir;

/// Contents of files that no fault may show.
const CANARY: &str = "c4n4ry-hunter2";

/// A folder with files, as the two places where a deployment has them.
struct Files(TempDir);

impl Files {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("text").to_owned()
    }

    /// The sources of a process that has the folder as that of its credentials, and these variables.
    fn credentials(&self, variables: &[(&str, &str)]) -> Sources {
        let folder = self.0.path().to_str().expect("text");
        process(&[variables, &[("CREDENTIALS_DIRECTORY", folder)]].concat())
    }
}

fn process(variables: &[(&str, &str)]) -> Sources {
    Sources::read(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))), None)
        .expect("reads")
}

fn faults(sources: &Sources) -> Vec<String> {
    let faults = Config::load(sources).err().map_or(Vec::new(), |error| error.0);
    faults.into_iter().map(|fault| fault.0).inspect(|fault| assert!(!fault.contains(CANARY), "{fault}")).collect()
}

#[test]
fn a_file_has_the_value_before_its_last_newline() {
    for (content, value) in [
        ("a", "a"),
        ("a\n", "a"),
        ("a\r\n", "a"),
        ("a\n\n", "a\n"),
        ("a\n\r\n", "a\n"),
        ("a\r", "a\r"),
        (" a ", " a "),
        ("", ""),
    ] {
        let files = Files::of(&[("sid", content.as_bytes()), ("portcullis.mail.from", content.as_bytes())]);
        let sources = files.credentials(&[("PORTCULLIS__SMS__ACCOUNT_SID_FILE", &files.path("sid"))]);
        let config = Config::load(&sources).expect("loads");
        assert_eq!((config.sms.account_sid.as_str(), config.mail.from.as_str()), (value, value), "{content:?}");
    }
}

#[test]
fn a_file_is_parsed_like_a_variable_and_may_have_an_item_a_line() {
    let files = Files::of(&[
        ("keys", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nAQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
        ("waits", b"1,2\r\n3\r\n"),
        ("headers", b"authorization=x=\nother=y\n"),
        ("off", b"false\n"),
    ]);
    let sources = Sources::of(Profile::Development)
        .with("secrets.keys_file", files.path("keys"))
        .with("phone_codes.resend_waits_secs_file", files.path("waits"))
        .with("otlp.headers_file", files.path("headers"))
        .with("limits.enabled_file", files.path("off"));
    let config = Config::load(&sources).expect("loads");
    assert_eq!((config.secrets.keys.len(), config.limits.enabled), (2, false));
    assert_eq!(config.phone_codes.resend_waits_secs, [1, 2, 3]);
    let headers: Vec<_> = config.otlp.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("authorization", "x="), ("other", "y")]);
}

#[test]
fn a_file_that_cannot_be_the_value_is_one_line() {
    let large = vec![b'a'; 64 * 1024 + 1];
    let files = Files::of(&[("text", CANARY.as_bytes()), ("bytes", b"c4n4ry-hunter2\xff"), ("large", &large)]);
    std::fs::create_dir(files.0.path().join("folder")).expect("a folder");
    let most = Files::of(&[("large", &large[1..])]);
    assert_eq!(faults(&Sources::of(Profile::Development).with("sms.auth_token_file", most.path("large"))), [""; 0]);
    for (path, says) in [
        (files.path("nowhere"), "cannot be read (entity not found)"),
        (files.path("text/below"), "cannot be read (not a directory)"),
        (files.path("folder"), "cannot be read (not a file)"),
        // Endless, or a pipe whose writer never comes.
        ("/dev/zero".to_owned(), "cannot be read (not a file)"),
        // A file that even root cannot read from its beginning.
        ("/proc/self/mem".to_owned(), "cannot be read ("),
        (files.path("bytes"), "is not UTF-8"),
        (files.path("large"), "is longer than 65536 bytes"),
        (files.path("two\nlines"), "cannot be read (entity not found)"),
    ] {
        let told = faults(&Sources::of(Profile::Production).with("redis.url_file", &path));
        let about: Vec<_> = told.iter().filter(|line| line.contains("`redis.url`")).collect();
        assert_eq!(about.len(), 1, "{path}: {told:?}");
        let begins = format!("`redis.url` (environment PORTCULLIS__REDIS__URL_FILE): the file {path:?} {says}");
        assert!(about[0].starts_with(&begins) && !about[0].contains('\n'), "{about:?} is not {begins}");
    }
    // The value in place of the path.
    let told = faults(&Sources::of(Profile::Development).with("redis.url_file", format!("redis://:{CANARY}@host")));
    assert_eq!(told, ["`redis.url` (environment PORTCULLIS__REDIS__URL_FILE): must be the absolute path of a file"]);
}

#[test]
fn a_key_that_is_set_twice_names_both() {
    let redis = b"redis://127.0.0.1:1".as_slice();
    let files = Files::of(&[("redis", redis), ("portcullis.redis.url", redis)]);
    let (path, nowhere) = (files.path("redis"), files.path("nowhere"));
    let (direct, by_file) = ("PORTCULLIS__REDIS__URL", "PORTCULLIS__REDIS__URL_FILE");
    let twice = |sources: Sources, both: &str| {
        assert!(faults(&sources).contains(&format!("`redis.url` ({both}): is set twice")), "{:?}", faults(&sources));
    };
    for path in [&path, &nowhere] {
        twice(process(&[(direct, "redis://h"), (by_file, path)]), &format!("environment {direct} and {by_file}"));
    }
    let credential = "credential portcullis.redis.url";
    for variable in [(direct, "redis://h"), (by_file, &path)] {
        twice(files.credentials(&[variable]), &format!("environment {} and {credential}", variable.0));
    }
}

#[test]
fn an_unknown_name_is_a_fault_also_with_file_behind_it() {
    let files = Files::of(&[("text", CANARY.as_bytes())]);
    for (name, key) in [
        ("PORTCULLIS__REDIS__URI_FILE", "redis.uri_file"),
        ("PORTCULLIS__REDIS__URL_FILE_FILE", "redis.url_file_file"),
        ("PORTCULLIS__REDIS_FILE", "redis_file"),
        ("PORTCULLIS__REDIS__FILE", "redis.file"),
        ("PORTCULLIS__SMS__FALLBACK__0_FILE", "sms.fallback.0_file"),
        ("PORTCULLIS__SMS__FALLBACK__0__FORM", "sms.fallback.0.form"),
        ("PORTCULLIS__SMS__FALLBACK__0__FORM_FILE", "sms.fallback.0.form_file"),
        ("PORTCULLIS__SMS__FALLBACK__X__FROM", "sms.fallback.x.from"),
        ("PORTCULLIS__SMS__FALLBACK__-1__FROM", "sms.fallback.-1.from"),
        ("PORTCULLIS__SECRETS__KEYS__0", "secrets.keys.0"),
        ("PORTCULLIS__SECRETS__KEYS__0__FROM", "secrets.keys.0.from"),
    ] {
        assert_eq!(
            faults(&process(&[(name, &files.path("text"))])),
            [format!("`{key}` (environment {name}): unknown key")]
        );
    }
}

/// A key such as `ca_file` is itself. But if there were a `ca` as well, a variable would have two meanings.
#[test]
fn no_key_is_another_one_with_file_behind_it() {
    for (section, keys) in keys::DEFAULT.iter() {
        let keys = keys.as_table().expect("a section");
        for key in keys.keys() {
            let shorter = key.strip_suffix("_file");
            assert!(!shorter.is_some_and(|shorter| keys.contains_key(shorter)), "{section}.{key}");
        }
    }
}

#[test]
fn credentials_set_keys_and_files_of_others_do_not() {
    let files = Files::of(&[
        ("portcullis.database.url", b"postgres://ada:c4n4ry-hunter2@db/portcullis\n"),
        ("portcullis.sms.fallback.0.auth_token", b"c4n4ry-hunter2\n"),
        ("database.url", b"mysql://x"),
        ("tls.key", b"\xff"),
        ("portcullis.toml", b"[server]"),
    ]);
    let config_file = "[database]\nurl = \"sqlite://x.db\"\n[[sms.fallback]]\nbase_url = \"https://a.example\"\n\
                       account_sid = \"AC1\"\nfrom = \"x\"\n";
    let sources = Sources { file: Some(("extra.toml".to_owned(), config_file.to_owned())), ..files.credentials(&[]) };
    let config = Config::load(&sources).expect("loads");
    assert!(config.database.url.expose().ends_with("@db/portcullis"));
    assert_eq!(config.sms.fallback[0].auth_token.expose(), CANARY);
    assert_eq!(faults(&process(&[("CREDENTIALS_DIRECTORY", "")])), [""; 0]);
    assert_eq!(
        faults(&process(&[("CREDENTIALS_DIRECTORY", "/nonexistent/x")])),
        ["environment CREDENTIALS_DIRECTORY: \"/nonexistent/x\" cannot be read (entity not found)"]
    );
}

#[test]
fn a_wrong_credential_is_named() {
    let wrong = Files::of(&[
        ("portcullis.databse.url", CANARY.as_bytes()),
        ("portcullis.database.url_file", CANARY.as_bytes()),
        ("portcullis.Redis.url", CANARY.as_bytes()),
        ("portcullis.sessions.most", CANARY.as_bytes()),
        ("portcullis.log.format", CANARY.as_bytes()),
        ("portcullis.secrets.keys", CANARY.as_bytes()),
        ("portcullis.mail.from", b"\xff"),
    ]);
    std::fs::create_dir(wrong.0.path().join("portcullis.redis.url")).expect("a folder");
    let told = faults(&wrong.credentials(&[]));
    for (key, says) in [
        ("databse.url", "unknown key"),
        ("database.url_file", "unknown key"),
        ("Redis.url", "unknown key"),
        ("sessions.most", "must be a whole number"),
        ("log.format", "must be text or json"),
        ("mail.from", "is not UTF-8"),
        ("redis.url", "cannot be read (not a file)"),
    ] {
        let begins = format!("`{key}` (credential portcullis.{key}): ");
        assert!(told.iter().any(|line| line.starts_with(&begins) && line.ends_with(says)), "{key}: {told:#?}");
    }
    assert!(
        told.iter().any(|line| line.starts_with("`secrets.keys[0]` (credential portcullis.secrets.keys): must be"))
    );
    assert_eq!(told.len(), 8, "{told:#?}");
}

#[test]
fn providers_of_sms_come_from_the_environment() {
    let files = Files::of(&[("token", b"c4n4ry-hunter2\n")]);
    let provider = |sources: Sources, at: usize| {
        let key = |field: &str| format!("sms.fallback.{at}.{field}");
        sources
            .with(&key("base_url"), format!("https://{at}.example.com"))
            .with(&key("account_sid"), "0123")
            .with(&key("auth_token_file"), files.path("token"))
            .with(&key("from"), "+15005550006")
    };
    // In whichever order, and more than ten.
    let sources = (0..12).rev().fold(Sources::of(Profile::Development), provider);
    let config = Config::load(&sources).expect("loads");
    let hosts: Vec<_> = config.sms.fallback.iter().map(|provider| provider.base_url.expose().to_owned()).collect();
    assert_eq!(hosts, (0..12).map(|at| format!("https://{at}.example.com")).collect::<Vec<_>>());
    assert_eq!(
        (config.sms.fallback[0].account_sid.as_str(), config.sms.fallback[11].auth_token.expose()),
        ("0123", CANARY)
    );

    let of = |variables: &[(&str, &str)]| {
        let named = |(name, value): &(&str, &str)| (format!("PORTCULLIS__SMS__FALLBACK{name}"), (*value).to_owned());
        let named: Vec<_> = variables.iter().map(named).collect();
        let variables = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
        faults(&Sources {
            settings: [sources.settings.clone(), process(&variables).settings].concat(),
            ..Sources::of(Profile::Development)
        })
    };
    assert_eq!(of(&[("", "")]), [""; 0], "an empty list is one");
    let variable = "environment PORTCULLIS__SMS__FALLBACK";
    assert_eq!(
        of(&[("", CANARY)]),
        [format!(
            "`sms.fallback` ({variable}): has tables as items, which are set by PORTCULLIS__SMS__FALLBACK__0__BASE_URL and so on"
        )]
    );
    assert_eq!(
        of(&[("__13__FROM", CANARY)]),
        [format!(
            "`sms.fallback[13].from` ({variable}__13__FROM): its number is not the next one. Items are numbered 0, 1, 2 and so on"
        )]
    );
    assert_eq!(
        of(&[("__12__FROM", CANARY)]),
        [format!("`sms.fallback[12]` ({variable}__12__FROM): must have base_url")]
    );
    assert_eq!(
        of(&[("__0__AUTH_TOKEN", CANARY)]),
        [format!(
            "`sms.fallback[0].auth_token` ({variable}__0__AUTH_TOKEN_FILE and PORTCULLIS__SMS__FALLBACK__0__AUTH_TOKEN): is set twice"
        )]
    );
}

#[test]
fn a_wrong_provider_of_the_environment_names_its_variable() {
    let complete = |key: &str, value: &str| {
        let fields = [
            ("base_url", "https://a.example.com"),
            ("account_sid", "AC1"),
            ("auth_token", "t"),
            ("from", "+15005550006"),
        ];
        let sources = Sources::of(Profile::Development).with("sms.transport", "twilio").with("mail.transport", "inbox");
        let first = fields.iter().fold(sources, |all, (field, value)| all.with(&format!("sms.{field}"), value));
        let second = fields.iter().filter(|(field, _)| key.strip_suffix("_file").unwrap_or(key) != *field);
        let all = second.fold(first, |all, (field, value)| all.with(&format!("sms.fallback.0.{field}"), value));
        faults(&all.with(&format!("sms.fallback.0.{key}"), value))
    };
    assert_eq!(complete("from", "+15005550006"), [""; 0]);
    for (key, value) in [
        ("base_url", "http://c4n4ry-hunter2"),
        ("account_sid", "c4n4ry-hunter2"),
        ("auth_token", "c4n4ry-hunter2 "),
        ("auth_token_file", "/nonexistent/token"),
        ("from", "c4n4ry-hunter2@"),
    ] {
        let (field, variable) = (key.trim_end_matches("_file"), key.to_uppercase());
        let begins = format!("`sms.fallback[0].{field}` (environment PORTCULLIS__SMS__FALLBACK__0__{variable}): ");
        let told = complete(key, value);
        assert!(told.len() == 1 && told[0].starts_with(&begins), "{told:?} is not {begins}");
    }
}

/// Whatever a file holds, for whichever key.
#[test]
fn no_fault_shows_the_content_of_a_file() {
    for content in
        [CANARY, "c4n4ry-hunter2://c4n4ry-hunter2:c4n4ry-hunter2@h?c4n4ry-hunter2", "c4n4ry-hunter2=c4n4ry-hunter2"]
    {
        let files = Files::of(&[("text", content.as_bytes())]);
        for (section, keys) in keys::DEFAULT.iter() {
            for key in keys.as_table().expect("a section").keys() {
                let _told = faults(
                    &Sources::of(Profile::Production).with(&format!("{section}.{key}_file"), files.path("text")),
                );
                let name = format!("portcullis.{section}.{key}");
                let credential = Files::of(&[(name.as_str(), content.as_bytes())]);
                let _told = faults(&credential.credentials(&[("PORTCULLIS_PROFILE", "production")]));
            }
        }
    }
}
