//! Asks everything that a configuration depends on whether it would serve. Creates and sends nothing.

use super::stores::{redis_settings, sql_settings};
use super::{Database, transports};
use crate::config::{Config, MailTransport, SmsTransport};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::redis::RedisTokenStore;
use std::sync::Arc;

/// Whom we asked, by the key that leads there, and what is wrong.
pub(crate) type Asked = (String, Result<(), String>);

/// Asks all of them at once.
pub(crate) async fn ask(config: &Config, clock: Arc<dyn Clock>) -> Vec<Asked> {
    let mut questions: Vec<BoxFuture<'_, Asked>> = Vec::new();
    questions.push(
        async {
            let looked = Database::look(&sql_settings(config)).await;
            ("database.url".to_owned(), looked.map(drop).map_err(|error| error.to_string()))
        }
        .boxed(),
    );
    if !config.redis.url.is_empty() {
        questions.push(
            async {
                let examined = RedisTokenStore::examine(&redis_settings(config)).await;
                ("redis.url".to_owned(), examined.map_err(|error| error.to_string()))
            }
            .boxed(),
        );
    }
    let deliveries = match transports(config, &clock) {
        Ok(deliveries) => deliveries,
        Err(error) => return vec![("mail and sms".to_owned(), Err(error.to_string()))],
    };
    let mail = if config.mail.transport == MailTransport::Smtp { deliveries.transports.mail } else { Vec::new() };
    for mail in mail {
        questions.push(
            async move { ("mail.smtp_url".to_owned(), mail.probe().await.map_err(|error| error.to_string())) }.boxed(),
        );
    }
    let sms = if config.sms.transport == SmsTransport::Twilio { deliveries.transports.sms } else { Vec::new() };
    for (at, sms) in sms.into_iter().enumerate() {
        let key = if at == 0 { "sms".to_owned() } else { format!("sms.fallback[{}]", at - 1) };
        questions.push(async move { (key, sms.probe().await.map_err(|error| error.to_string())) }.boxed());
    }
    join_all(questions).await
}
