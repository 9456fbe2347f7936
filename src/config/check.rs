//! The rules of a configuration beyond its types: bounds of each section, and what the profile requires.

use super::{Config, Fault, MailTransport, Profile, RedisConfig, Secret, SmsTransport, urls};
use actix_web::http::header::{HeaderName, HeaderValue};
use portcullis_actors::stores::Pooler;
use portcullis_actors::transports::{is_mail_sender, is_sms_sender};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Collects the faults.
struct Checks<'a>(&'a mut Vec<Fault>);

impl Checks<'_> {
    fn require(&mut self, holds: bool, key: &str, says: &str) {
        // A key with a fault has its default value here, and that would give a second, misleading fault.
        let has_key = |fault: &Fault| {
            let after = fault.0.strip_prefix('`').and_then(|rest| rest.strip_prefix(key));
            after.is_some_and(|after| after.starts_with(['`', '[', '.']))
        };
        if !holds && !self.0.iter().any(has_key) {
            self.0.push(Fault(format!("`{key}`: {says}")));
        }
    }

    fn report(&mut self, key: &str, fault: Option<String>) {
        self.require(fault.is_none(), key, fault.as_deref().unwrap_or_default());
    }

    fn at_least_one(&mut self, section: &str, keys: &[(&str, u64)]) {
        for (key, value) in keys {
            self.require(*value > 0, &format!("{section}.{key}"), "must be at least 1");
        }
    }
}

pub(super) fn check(config: &Config, faults: &mut Vec<Fault>) {
    let mut checks = Checks(faults);
    server(config, &mut checks);
    stores(config, &mut checks);
    mail(config, &mut checks);
    sms(config, &mut checks);
    policies(config, &mut checks);
    phone_codes(config, &mut checks);
    sandbox(config, &mut checks);
    otlp(config, &mut checks);
    if config.profile == Profile::Production {
        production(config, &mut checks);
    }
}

fn server(config: &Config, checks: &mut Checks<'_>) {
    let server = &config.server;
    let exact = server.cors_origins.iter().all(|origin| is_origin(origin));
    checks.require(exact, "server.cors_origins", "must be origins like https://app.example.com, without a path or *");
    checks.require(server.workers <= 1024, "server.workers", "must be at most 1024");
    checks.require(server.max_body_bytes >= 1024, "server.max_body_bytes", "must be at least 1024");
    let drain = server.drain_secs <= 300;
    checks.require(drain, "server.drain_secs", "must be at most 300");
    checks.at_least_one(
        "server",
        &[
            ("costly_requests", server.costly_requests as u64),
            ("ordinary_requests", server.ordinary_requests as u64),
            ("deadline_secs", server.deadline_secs),
            ("max_connections", server.max_connections as u64),
            ("connections_per_address", server.connections_per_address as u64),
            ("header_timeout_secs", server.header_timeout_secs),
            ("body_timeout_secs", server.body_timeout_secs),
            ("keep_alive_secs", server.keep_alive_secs),
            ("shutdown_secs", server.shutdown_secs),
        ],
    );
    let filter = "must be a level (error, warn, info, debug, trace, off), or target=level, comma-separated";
    checks.require(is_filter(&config.log.filter), "log.filter", filter);
}

/// Stricter than `EnvFilter`, which takes a misspelt level as the name of a target and then logs almost nothing.
fn is_filter(text: &str) -> bool {
    let level = |text: &str| text.trim().parse::<LevelFilter>().is_ok();
    let directive = |text: &str| text.rsplit_once('=').map_or(level(text), |(_, text)| level(text));
    // Brackets contain the fields of spans, with commas of their own.
    (text.contains('[') || text.split(',').all(directive)) && EnvFilter::try_new(text).is_ok()
}

/// Written as browsers send it: scheme, host, and a port only if it is not the scheme's own (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let known = |url: &url::Url| matches!(url.scheme(), "http" | "https");
    url::Url::parse(text).ok().filter(known).is_some_and(|url| url.origin().ascii_serialization() == text)
}

fn stores(config: &Config, checks: &mut Checks<'_>) {
    let (database, redis) = (&config.database, &config.redis);
    checks.report("database.url", urls::database_fault(database.url.expose()));
    let direct = database.direct_url.expose();
    if database.file().is_some() {
        checks.require(
            database.pooler == Pooler::None,
            "database.pooler",
            "must be none: a file of SQLite has no pooler",
        );
        checks.require(direct.is_empty(), "database.direct_url", "must be empty: it is for PostgreSQL");
    } else if !direct.is_empty() {
        let other = direct.starts_with("sqlite:").then(|| "must be a URL of PostgreSQL".to_owned());
        checks.report("database.direct_url", other.or_else(|| urls::database_fault(direct)));
    } else {
        let says = "must be set with database.pooler: a migration and the claim of server.single_node need a session";
        checks.require(database.pooler == Pooler::None, "database.direct_url", says);
    }
    redis_servers(redis, checks);
    checks.at_least_one(
        "database",
        &[("max_connections", database.max_connections.into()), ("timeout_ms", database.timeout_ms)],
    );
    checks.at_least_one("redis", &[("pool_size", redis.pool_size as u64), ("timeout_ms", redis.timeout_ms)]);
}

fn redis_servers(redis: &RedisConfig, checks: &mut Checks<'_>) {
    let (sentinels, cluster) = (&redis.sentinels, &redis.cluster);
    if !redis.url.is_empty() {
        checks.report("redis.url", urls::redis_fault(redis.url.expose()));
    }
    let one =
        [!redis.url.is_empty(), !sentinels.is_empty(), !cluster.is_empty()].into_iter().filter(|set| *set).count();
    let key = if redis.url.is_empty() { "redis.cluster" } else { "redis.url" };
    checks.require(one <= 1, key, "must be empty: redis.url, redis.sentinels and redis.cluster exclude each other");
    for url in sentinels {
        checks.report("redis.sentinels", urls::sentinel_fault(url.expose()));
    }
    for url in cluster {
        checks.report("redis.cluster", urls::cluster_fault(url.expose()));
    }
    let named = sentinels.is_empty() == redis.master_name.is_empty();
    checks.require(named, "redis.master_name", "must be set together with redis.sentinels");
    let says = "is for the master that redis.sentinels tell of: write it into redis.url or redis.cluster otherwise";
    for (key, set) in [
        ("redis.user", !redis.user.is_empty()),
        ("redis.password", !redis.password.is_empty()),
        ("redis.tls", redis.tls),
    ] {
        checks.require(!set || !sentinels.is_empty(), key, says);
    }
}

fn mail(config: &Config, checks: &mut Checks<'_>) {
    let mail = &config.mail;
    if mail.transport == MailTransport::Inbox {
        return;
    }
    checks.report("mail.smtp_url", urls::smtp_fault(mail.smtp_url.expose()));
    let sender = "must be the sender of mails: name@example.com or Name <name@example.com>";
    checks.require(is_mail_sender(&mail.from), "mail.from", sender);
    checks.report("mail.smtp_url", urls::plaintext_fault(mail.smtp_url.expose(), mail.allow_plaintext));
}

fn sms(config: &Config, checks: &mut Checks<'_>) {
    if config.sms.transport == SmsTransport::Inbox {
        return;
    }
    for (at, provider) in config.sms.providers().iter().enumerate() {
        let key = |name: &str| match at {
            0 => format!("sms.{name}"),
            at => format!("sms.fallback[{}].{name}", at - 1),
        };
        checks.report(&key("base_url"), urls::api_fault(provider.base_url.expose()));
        let plaintext = urls::plaintext_fault(provider.base_url.expose(), config.sms.allow_plaintext);
        checks.report(&key("base_url"), plaintext);
        let sid = provider.account_sid.as_bytes();
        let plain = !sid.is_empty() && sid.iter().all(u8::is_ascii_alphanumeric);
        checks.require(plain, &key("account_sid"), "must be set: letters and digits");
        let token = provider.auth_token.expose().as_bytes();
        let visible = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
        checks.require(visible, &key("auth_token"), "must be set, without spaces or line breaks");
        let sender = "must be the sender of SMS: a number like +15005550006, a name, or a messaging service (MG…)";
        checks.require(is_sms_sender(&provider.from), &key("from"), sender);
    }
}

fn policies(config: &Config, checks: &mut Checks<'_>) {
    for (key, says) in config.hashing.faults() {
        checks.require(false, &format!("hashing.{key}"), says);
    }
    for fault in config.delivery.faults() {
        let (key, says) = fault.split_once(' ').unwrap_or((&fault, ""));
        checks.require(false, key, says);
    }
    let (sessions, resets, limits) = (&config.sessions, &config.resets, &config.limits);
    checks.at_least_one(
        "sessions",
        &[
            ("idle_secs", sessions.idle_secs),
            ("page_idle_secs", sessions.page_idle_secs),
            ("most", sessions.most as u64),
            ("most_devices", sessions.most_devices.into()),
            ("touch_fraction", sessions.touch_fraction.into()),
        ],
    );
    let longer = sessions.absolute_secs >= sessions.idle_secs;
    checks.require(longer, "sessions.absolute_secs", "must not be less than sessions.idle_secs");
    let longer = sessions.page_absolute_secs >= sessions.page_idle_secs;
    checks.require(longer, "sessions.page_absolute_secs", "must not be less than sessions.page_idle_secs");
    let bounded = sessions.absolute_secs.max(sessions.page_absolute_secs) <= 10 * 365 * 86_400 && sessions.most <= 1000;
    checks.require(bounded, "sessions", "must end within 10 years, and be at most 1,000 per user");
    checks.at_least_one(
        "resets",
        &[
            ("life_secs", resets.life_secs),
            ("per_email_hour", resets.per_email_hour.into()),
            ("invitation_life_secs", resets.invitation_life_secs),
        ],
    );
    checks.require(config.passwords.shortest <= 64, "passwords.shortest", "must be at most 64 (ASVS 6.2.9)");
    checks.at_least_one(
        "limits",
        &[
            ("password_first_wait_secs", limits.password_first_wait_secs),
            ("password_per_address", limits.password_per_address.into()),
            ("password_changes_per_hour", limits.password_changes_per_hour.into()),
        ],
    );
    let ordered = limits.password_longest_wait_secs >= limits.password_first_wait_secs;
    checks.require(ordered, "limits.password_longest_wait_secs", "must not be less than the first wait");
    let ceiling = (1..=100).contains(&limits.password_ceiling);
    checks.require(ceiling, "limits.password_ceiling", "must be 1 to 100 (NIST SP 800-63B)");
}

fn otlp(config: &Config, checks: &mut Checks<'_>) {
    let otlp = &config.otlp;
    let endpoint = otlp.endpoint.expose();
    if !endpoint.is_empty() {
        checks.report("otlp.endpoint", urls::collector_fault(endpoint));
        let in_the_clear = !otlp.headers.is_empty() && urls::plaintext_fault(endpoint, false).is_some();
        checks.require(
            !in_the_clear,
            "otlp.endpoint",
            "must begin with https:// if otlp.headers are sent to another host",
        );
    }
    checks.require((0.0..=1.0).contains(&otlp.sample), "otlp.sample", "must be 0 to 1");
    checks.require(!otlp.service_name.is_empty(), "otlp.service_name", "must be set");
    let is_header = |(name, value): (&String, &Secret)| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value.expose()).is_ok()
    };
    checks.require(otlp.headers.iter().all(is_header), "otlp.headers", "must be names and values of HTTP headers");
}

fn phone_codes(config: &Config, checks: &mut Checks<'_>) {
    let policy = &config.phone_codes;
    let is_region = |text: &String| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    checks.require(is_region(&policy.default_region), "phone_codes.default_region", "must be a region like US");
    checks.require(policy.regions.iter().all(is_region), "phone_codes.regions", "must be regions like US");
    checks.require((4..=9).contains(&policy.digits), "phone_codes.digits", "must be 4 to 9");
    checks.require((1..=5).contains(&policy.guesses), "phone_codes.guesses", "must be 1 to 5 (ASVS 6.6.2)");
    checks.require(policy.life_secs <= 600, "phone_codes.life_secs", "must be at most 600 (ASVS 6.6.2)");
    let renews = policy.renew_below_secs < policy.life_secs;
    checks.require(renews, "phone_codes.renew_below_secs", "must be less than phone_codes.life_secs");
}

fn sandbox(config: &Config, checks: &mut Checks<'_>) {
    for (number, code) in &config.sandbox.codes {
        // Only the format is checked: the tables of numbering plans load slowly, and an impossible number does no harm.
        let digits = number.strip_prefix('+').unwrap_or_default();
        let e164 = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        checks.require(e164, "sandbox.codes", "must have numbers in E.164 (+11234567890)");
        let digits = (4..=9).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        checks.require(digits, "sandbox.codes", "must have codes of 4 to 9 digits");
    }
    let allowed = config.sandbox.codes.is_empty() || config.profile == Profile::Development;
    checks.require(allowed, "sandbox.codes", "fixed codes are for the development profile only");
}

/// The settings that production requires.
fn production(config: &Config, checks: &mut Checks<'_>) {
    let url = &config.server.public_url;
    checks.require(!url.is_empty(), "server.public_url", "must be set in production: links in mails begin with it");
    let keyed = !config.secrets.keys.is_empty();
    checks.require(keyed, "secrets.keys", "must be set in production (openssl rand -base64 32)");
    let shared = config.redis.is_used() || config.server.single_node;
    checks.require(
        shared,
        "redis.url",
        "must be set in production, or redis.sentinels or redis.cluster, unless server.single_node = true",
    );
    let mails = config.mail.transport != MailTransport::Inbox;
    checks.require(mails, "mail.transport", "must be smtp in production: an inbox sends no mail");
    let texts = config.sms.transport != SmsTransport::Inbox;
    checks.require(texts, "sms.transport", "must be twilio in production: an inbox sends no SMS");
}
