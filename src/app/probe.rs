//! `config check --connect`: tests every service that a configuration depends on. Creates and sends nothing.

use super::stores::{Database, redis_settings, sql_settings};
use super::transports::transports;
use crate::config::{Config, MailTransport, Migrate, SmsTransport};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::redis::RedisTokenStore;
use std::fmt::Display;
use std::sync::Arc;

/// The key of a service, and the fault if it is not usable.
pub(crate) type Probed = (String, Result<(), String>);

/// Probes all services at the same time.
pub(crate) async fn probe_dependencies(config: &Config, clock: Arc<dyn Clock>) -> Vec<Probed> {
    let transports = match transports(config, &clock) {
        Ok((transports, _)) => transports,
        Err(error) => return vec![("mail and sms".to_owned(), Err(error.to_string()))],
    };
    let sql = async {
        let settings = sql_settings(config);
        match config.database.migrate {
            Migrate::Auto => Database::inspect(&settings).await.map(drop),
            Migrate::Check => Database::require_current(&settings).await,
        }
    };
    let mut probes = vec![probe("database.url".to_owned(), sql)];
    if config.redis.is_used() {
        let redis = async { RedisTokenStore::examine(&redis_settings(config)).await };
        probes.push(probe(config.redis.key().to_owned(), redis));
    }
    let mail = if config.mail.transport == MailTransport::Smtp { transports.mail } else { Vec::new() };
    for mail in mail {
        probes.push(probe("mail.smtp_url".to_owned(), async move { mail.probe().await }));
    }
    let sms = if config.sms.transport == SmsTransport::Twilio { transports.sms } else { Vec::new() };
    for (at, provider) in sms.into_iter().enumerate() {
        let key = if at == 0 { "sms".to_owned() } else { format!("sms.fallback[{}]", at - 1) };
        probes.push(probe(key, async move { provider.probe().await }));
    }
    join_all(probes).await
}

fn probe<'a, E: Display>(key: String, probe: impl Future<Output = Result<(), E>> + Send + 'a) -> BoxFuture<'a, Probed> {
    async move { (key, probe.await.map_err(|error| error.to_string())) }.boxed()
}
