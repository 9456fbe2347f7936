//! Which transports a configuration means.

use crate::config::{Config, MailTransport, SmsTransport};
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::StartError;
use portcullis_actors::transports::{
    Inbox, Mail, Sms, SmtpSettings, SmtpTransport, Transport, TransportFault, Transports, TwilioSettings,
    TwilioTransport,
};
use std::sync::Arc;
use std::time::Duration;

/// How many messages an inbox keeps.
const INBOX: usize = 200;

/// How messages leave.
pub(crate) struct Deliveries {
    pub(crate) transports: Transports,
    /// What stays in memory, if anything does.
    pub(crate) inbox: Option<Inbox>,
}

/// The transports; nothing is connected yet.
pub(crate) fn transports(config: &Config, clock: &Arc<dyn Clock>) -> Result<Deliveries, StartError> {
    let inbox = Inbox::new(INBOX, Arc::clone(clock));
    let mut shown = None;
    let mail: Arc<dyn Transport<Mail>> = match config.mail.transport {
        MailTransport::Smtp => Arc::new(smtp(config, clock).map_err(start_error)?),
        MailTransport::Inbox => Arc::new(shown.insert(inbox.clone()).clone()),
    };
    let sms: Vec<Arc<dyn Transport<Sms>>> = match config.sms.transport {
        SmsTransport::Twilio => twilio(config, clock).map_err(start_error)?,
        SmsTransport::Inbox => vec![Arc::new(shown.insert(inbox).clone())],
    };
    Ok(Deliveries { transports: Transports { mail: vec![mail], sms }, inbox: shown })
}

fn start_error(fault: TransportFault) -> StartError {
    StartError(fault.to_string())
}

fn smtp(config: &Config, clock: &Arc<dyn Clock>) -> Result<SmtpTransport, TransportFault> {
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

fn twilio(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Arc<dyn Transport<Sms>>>, TransportFault> {
    let mut transports: Vec<Arc<dyn Transport<Sms>>> = Vec::new();
    for (at, provider) in config.sms.providers().into_iter().enumerate() {
        let name = format!("sms-{}", at + 1);
        let public = config.server.public_url.as_str();
        // Without a public URL no provider could report back.
        let callback_url = (!public.is_empty()).then(|| format!("{public}/callbacks/sms/{name}"));
        let settings = TwilioSettings {
            name,
            base_url: provider.base_url.expose().to_owned(),
            account_sid: provider.account_sid,
            auth_token: provider.auth_token.expose().to_owned(),
            from: provider.from,
            // An application's number belongs to one account.
            own_senders: at == 0,
            callback_url,
            allow_plaintext: config.sms.allow_plaintext,
            timeout: Duration::from_secs(config.delivery.sms_timeout_secs),
        };
        transports.push(Arc::new(TwilioTransport::new(settings, Arc::clone(clock))?));
    }
    Ok(transports)
}
