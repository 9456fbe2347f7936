//! The start of every test here: a database with a user and an application, a clock that tests move, and a notifier
//! with the transports of the test.

use actix::{Actor as _, Addr};
use portcullis_actors::clock::{Clock as _, ShiftedClock, SystemClock};
use portcullis_actors::derive::{Keyring, PhoneCodes};
use portcullis_actors::domain::{AppId, MessageId, Phone, UserId};
use portcullis_actors::notifier::{DeliverDue, DeliveryPolicy, NotifierActor, NotifierPorts};
use portcullis_actors::stores::sql::SqlStore;
use portcullis_actors::stores::{
    AccountStore as _, Destination, LeaseRequest, Leased, ListedMessage, MessageState, NewApplication, NewMessage,
    OutboxFilter, OutboxStore as _, Settlement,
};
use portcullis_actors::transports::{
    Accepted, Inbox, Mail, SendError, Sms, SmtpSettings, SmtpTransport, Transport, Transports, TwilioSettings,
    TwilioTransport,
};
use portcullis_testkit::accounts::{add_application, add_user, new_application, new_user};
use portcullis_testkit::deliveries::{challenge_message, smtp_settings, twilio_settings};
use portcullis_testkit::sms::SmsApi;
use portcullis_testkit::smtp::SmtpServer;
use portcullis_testkit::stores;
use sqlx::{AnyConnection, Connection as _};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub struct World {
    pub store: SqlStore,
    pub clock: Arc<ShiftedClock>,
    pub keyring: Arc<Keyring>,
    pub user: UserId,
    pub app: AppId,
    pub policy: DeliveryPolicy,
    pub mail: Arc<dyn Transport<Mail>>,
    pub sms: Vec<Arc<dyn Transport<Sms>>>,
    pub inbox: Inbox,
    pub url: String,
    _folder: TempDir,
}

impl World {
    /// On SQLite. All messages go to the inbox.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = stores::sqlite_url(&folder.path().join("test.db"));
        Self::on(&url, folder).await
    }

    /// On any database. Its user and its application are created if it is empty.
    pub async fn on(url: &str, folder: TempDir) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let store = stores::connect(url, clock.clone()).await;
        let (user, app) = user_and_application(&store).await;
        let keyring = Keyring::new(&[[7; 32].into()]).expect("a secret");
        let inbox = Inbox::new(10_000, clock.clone());
        Self {
            store,
            keyring: Arc::new(keyring),
            user,
            app,
            policy: DeliveryPolicy { poll_ms: 50, ..portcullis_testkit::defaults().delivery },
            mail: Arc::new(inbox.clone()),
            sms: vec![Arc::new(inbox.clone())],
            inbox,
            clock,
            url: url.to_owned(),
            _folder: folder,
        }
    }

    pub fn with_smtp(self, server: &SmtpServer) -> Self {
        let timeout = Duration::from_secs(self.policy.mail_timeout_secs);
        self.with_mail(Arc::new(smtp_with(SmtpSettings { timeout, ..smtp_settings(&server.url()) })))
    }

    pub fn with_mail(mut self, relay: Arc<dyn Transport<Mail>>) -> Self {
        self.mail = relay;
        self
    }

    /// These providers in this order. They are called `one`, `two` and `three`.
    pub fn with_sms(mut self, apis: &[&SmsApi]) -> Self {
        let timeout = Duration::from_secs(self.policy.sms_timeout_secs);
        let provider = |(api, name): (&&SmsApi, &&str)| -> Arc<dyn Transport<Sms>> {
            let callback_url = Some(callback_url(name));
            let settings = TwilioSettings { timeout, callback_url, ..twilio_settings(name, &api.url()) };
            Arc::new(TwilioTransport::new(settings, self.clock.clone()).expect("good settings"))
        };
        self.sms = apis.iter().zip(&["one", "two", "three"]).map(provider).collect();
        self
    }

    pub fn ports(&self) -> NotifierPorts {
        NotifierPorts {
            outbox: Arc::new(self.store.clone()),
            pulses: stores::pulses(&self.store, self.policy.poll()),
            keyring: Arc::clone(&self.keyring),
            clock: self.clock.clone(),
            transports: Transports { mail: vec![Arc::clone(&self.mail)], sms: self.sms.clone() },
            policy: self.policy.clone(),
            codes: Arc::new(PhoneCodes { keyring: Arc::clone(&self.keyring), digits: 6, fixed: HashMap::new() }),
            public_url: "https://accounts.example.com".to_owned(),
            traces: None,
        }
    }

    /// A notifier that delivers by itself.
    pub fn notifier(&self) -> Addr<NotifierActor> {
        NotifierActor::new(self.ports()).start()
    }

    /// A notifier that is driven by [`step`].
    pub fn stepwise(&self) -> Addr<NotifierActor> {
        NotifierActor::stepwise(self.ports()).start()
    }

    pub fn reset_mail(&self, to: &str) -> NewMessage {
        self.message(Destination::Mail(to.parse().expect("an address")), 1_800)
    }

    pub fn code_sms(&self, to: &str) -> NewMessage {
        self.message(Destination::Sms(Phone::parse(to, "US").expect("a number")), 600)
    }

    fn message(&self, to: Destination, life_secs: u64) -> NewMessage {
        let expires = self.clock.now().plus(Duration::from_secs(life_secs));
        challenge_message(self.keyring.current(), self.user, self.app, to, expires)
    }

    /// An exchange that only leases.
    pub async fn lease(&self, ask: &LeaseRequest) -> Vec<Leased> {
        self.store.exchange(&[], std::slice::from_ref(ask)).await.expect("leased")
    }

    /// An exchange that only settles.
    pub async fn settle(&self, settlement: Settlement) {
        self.store.exchange(&[&settlement], &[]).await.expect("settled");
    }

    /// A connection past the store.
    pub async fn connection(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.expect("a connection")
    }

    pub async fn queue(&self, message: NewMessage) -> MessageId {
        self.store.enqueue(message).await.expect("queued")
    }

    pub async fn queue_mail(&self, to: &str) -> MessageId {
        self.queue(self.reset_mail(to)).await
    }

    pub async fn queue_sms(&self, to: &str) -> MessageId {
        self.queue(self.code_sms(to)).await
    }

    pub async fn all(&self) -> Vec<ListedMessage> {
        let filter = OutboxFilter { limit: 100_000, ..OutboxFilter::default() };
        self.store.list(&filter).await.expect("a list")
    }

    pub async fn look(&self, id: MessageId) -> ListedMessage {
        self.all().await.into_iter().find(|message| message.id == id).expect("on record")
    }

    pub async fn state(&self, id: MessageId) -> MessageState {
        self.look(id).await.state
    }

    /// The number of messages in this state.
    pub async fn count(&self, state: MessageState) -> usize {
        self.all().await.iter().filter(|message| message.state == state).count()
    }

    /// The outcomes of a message's attempts, each as `provider: outcome`.
    pub async fn path(&self, id: MessageId) -> Vec<String> {
        let attempts = self.store.attempts(id).await.expect("attempts");
        attempts.iter().map(|attempt| format!("{}: {}", attempt.provider, attempt.outcome)).collect()
    }

    /// The provider's name for the message, of the newest attempt.
    pub async fn reference(&self, id: MessageId) -> Option<String> {
        self.store.attempts(id).await.expect("attempts").pop().and_then(|attempt| attempt.reference)
    }

    /// The detail of the first attempt.
    pub async fn detail(&self, id: MessageId) -> String {
        self.store.attempts(id).await.expect("attempts").remove(0).detail.unwrap_or_default()
    }

    /// Whether all of these are settled.
    pub async fn settled(&self, ids: &[MessageId]) -> bool {
        let all = self.all().await;
        ids.iter().all(|id| all.iter().any(|message| message.id == *id && message.due.is_none()))
    }

    pub fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }
}

pub fn smtp(url: &str) -> SmtpTransport {
    smtp_with(smtp_settings(url))
}

pub fn smtp_with(settings: SmtpSettings) -> SmtpTransport {
    SmtpTransport::new(settings, Arc::new(SystemClock)).expect("good settings")
}

pub fn callback_url(provider: &str) -> String {
    format!("https://accounts.example.com/callbacks/sms/{provider}")
}

/// One step of a stepwise notifier: it delivers the messages that are due.
pub async fn step(notifier: &Addr<NotifierActor>) -> usize {
    notifier.send(DeliverDue).await.expect("the actor lives").expect("the store answers")
}

async fn user_and_application(store: &SqlStore) -> (UserId, AppId) {
    let (user, app) =
        (new_user("ada"), NewApplication { brand: "Beyond VIP".to_owned(), ..new_application("beyondvip") });
    let user = match store.user_by_email(&user.email).await.expect("read") {
        Some(user) => user.id,
        None => add_user(store, user).await,
    };
    let app = match store.application(Some(&app.name)).await.expect("read") {
        Some(app) => app.id,
        None => add_application(store, app).await,
    };
    (user, app)
}

/// A relay that holds mails to `slow.example` until it is given permits. It counts those that it holds.
pub struct Holding {
    pub permits: Semaphore,
    held: Mutex<(usize, usize)>,
}

impl Holding {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(0), held: Mutex::default() })
    }

    /// The number of mails that it holds, and the highest number so far.
    pub fn held(&self) -> (usize, usize) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Transport<Mail> for Holding {
    fn name(&self) -> &str {
        "holding"
    }

    async fn send(&self, mail: &Mail) -> Result<Accepted, SendError> {
        if mail.to.as_str().ends_with("slow.example") {
            {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.0 += 1;
                held.1 = held.1.max(held.0);
            }
            let permit = self.permits.acquire().await.expect("never closed");
            permit.forget();
            self.held.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
        }
        Ok(Accepted::default())
    }
}
