//! Chooses the transports of a configuration.

use crate::config::{Config, MailTransport, SmsTransport};
use portcullis_actors::clock::Clock;
use portcullis_actors::error::StartError;
use portcullis_actors::transports::{
    Inbox, Mail, Sms, SmtpSettings, SmtpTransport, Transport, Transports, TwilioSettings, TwilioTransport,
};
use std::sync::Arc;
use std::time::Duration;

/// The number of messages that an inbox keeps.
const INBOX_SIZE: usize = 200;

/// Creates the transports, and the inbox if mail or SMS stay in memory. Nothing is connected yet.
pub(crate) fn transports(config: &Config, clock: &Arc<dyn Clock>) -> Result<(Transports, Option<Inbox>), StartError> {
    let inbox = Inbox::new(INBOX_SIZE, Arc::clone(clock));
    let mut shown = None;
    let mail: Arc<dyn Transport<Mail>> = match config.mail.transport {
        MailTransport::Smtp => Arc::new(smtp(config, clock)?),
        MailTransport::Inbox => Arc::new(shown.insert(inbox.clone()).clone()),
    };
    let sms: Vec<Arc<dyn Transport<Sms>>> = match config.sms.transport {
        SmsTransport::Twilio => twilio(config, clock)?,
        SmsTransport::Inbox => vec![Arc::new(shown.insert(inbox).clone())],
    };
    Ok((Transports { mail: vec![mail], sms }, shown))
}

fn smtp(config: &Config, clock: &Arc<dyn Clock>) -> Result<SmtpTransport, StartError> {
    let settings = SmtpSettings {
        url: config.mail.smtp_url.expose().to_owned(),
        from: config.mail.from.clone(),
        allow_plaintext: config.mail.allow_plaintext,
        extra_root: None,
        timeout: Duration::from_secs(config.delivery.mail_timeout_secs),
        connections: config.delivery.mail_concurrency,
    };
    SmtpTransport::new(settings, Arc::clone(clock))
}

fn twilio(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Arc<dyn Transport<Sms>>>, StartError> {
    let mut transports: Vec<Arc<dyn Transport<Sms>>> = Vec::new();
    for (at, provider) in config.sms.providers().into_iter().enumerate() {
        let name = format!("sms-{}", at + 1);
        let public = config.server.public_url.as_str();
        // Without a public URL a provider cannot send delivery reports.
        let callback_url = (!public.is_empty()).then(|| format!("{public}/callbacks/sms/{name}"));
        let settings = TwilioSettings {
            name,
            base_url: provider.base_url.expose().to_owned(),
            account_sid: provider.account_sid,
            auth_token: provider.auth_token.expose().to_owned(),
            from: provider.from,
            // The number of an application belongs to one account, that of the first provider.
            own_senders: at == 0,
            callback_url,
            allow_plaintext: config.sms.allow_plaintext,
            timeout: Duration::from_secs(config.delivery.sms_timeout_secs),
        };
        transports.push(Arc::new(TwilioTransport::new(settings, Arc::clone(clock))?));
    }
    Ok(transports)
}
