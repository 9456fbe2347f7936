//! What every test here starts from: a database with a user and an application, a clock that can be moved, and a
//! notifier with the transports of the test.

use actix::{Actor as _, Addr};
use portcullis_actors::clock::{Clock as _, ShiftedClock, SystemClock};
use portcullis_actors::derive::{Keyring, PhoneCodes, random_bytes};
use portcullis_actors::domain::{AppId, Locale, MessageId, Phone, UserId};
use portcullis_actors::notifier::{DeliverDue, DeliveryPolicy, NotifierActor, NotifierPorts};
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{
    AccountStore as _, Created, Destination, LeaseRequest, Leased, ListedMessage, MessageKind, MessageState,
    NewApplication, NewMessage, NewUser, OutboxFilter, OutboxStore as _, Settlement,
};
use portcullis_actors::transports::{
    Inbox, Mail, Sms, SmtpSettings, SmtpTransport, Transport, Transports, TwilioSettings, TwilioTransport,
};
use portcullis_testkit::sms::SmsApi;
use portcullis_testkit::smtp::SmtpServer;
use sqlx::{AnyConnection, Connection as _};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(60);

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
    /// On SQLite; everything goes into the inbox.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self::on(&url, folder).await
    }

    /// On any database, whose user and application are made if it is empty.
    pub async fn on(url: &str, folder: TempDir) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let settings = SqlSettings { time_out: Duration::from_secs(10), ..SqlSettings::new(url) };
        let store = SqlStore::connect(&settings, clock.clone()).await.expect("a database");
        let (user, app) = inhabit(&store).await;
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

    pub fn with_smtp(mut self, server: &SmtpServer) -> Self {
        self.mail = Arc::new(smtp(&server.url(), self.policy.mail_timeout_secs));
        self
    }

    /// These providers, in order, called `one`, `two` …
    pub fn with_sms(mut self, apis: &[&SmsApi]) -> Self {
        let timeout = Duration::from_secs(self.policy.sms_timeout_secs);
        let provider = |(api, name): (&&SmsApi, &&str)| -> Arc<dyn Transport<Sms>> {
            let settings = TwilioSettings {
                name: (*name).to_owned(),
                base_url: api.url(),
                account_sid: "AC0123".to_owned(),
                auth_token: format!("secret of {name}"),
                from: "+15005550006".to_owned(),
                own_senders: true,
                callback_url: Some(callback_url(name)),
                allow_plaintext: false,
                timeout,
            };
            Arc::new(TwilioTransport::new(settings, self.clock.clone()).expect("good settings"))
        };
        self.sms = apis.iter().zip(&["one", "two", "three"]).map(provider).collect();
        self
    }

    pub fn ports(&self) -> NotifierPorts {
        NotifierPorts {
            outbox: Arc::new(self.store.clone()),
            keyring: Arc::clone(&self.keyring),
            clock: self.clock.clone(),
            transports: Transports { mail: vec![Arc::clone(&self.mail)], sms: self.sms.clone() },
            policy: self.policy.clone(),
            codes: Arc::new(PhoneCodes { keyring: Arc::clone(&self.keyring), digits: 6, fixed: HashMap::new() }),
            public_url: "https://accounts.example.com".to_owned(),
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
        let challenge = random_bytes();
        NewMessage {
            kind: MessageKind::ResetLink { challenge, key: self.keyring.current() },
            user: self.user,
            app: self.app,
            to: Destination::Mail(to.parse().expect("an address")),
            locale: Locale::En,
            expires: self.clock.now().plus(Duration::from_secs(1_800)),
        }
    }

    pub fn code_sms(&self, to: &str) -> NewMessage {
        let challenge = random_bytes();
        NewMessage {
            kind: MessageKind::PhoneCode { challenge, key: self.keyring.current() },
            to: Destination::Sms(Phone::parse(to, "US").expect("a number")),
            expires: self.clock.now().plus(Duration::from_secs(600)),
            ..self.reset_mail("ada@example.com")
        }
    }

    /// A turn that only takes.
    pub async fn lease(&self, ask: &LeaseRequest) -> Vec<Leased> {
        self.store.exchange(&[], std::slice::from_ref(ask)).await.expect("leased")
    }

    /// A turn that only hands in.
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

    /// How many stand in this state.
    pub async fn count(&self, state: MessageState) -> usize {
        self.all().await.iter().filter(|message| message.state == state).count()
    }

    /// The outcomes of a message's attempts, each as `provider: outcome`.
    pub async fn path(&self, id: MessageId) -> Vec<String> {
        let attempts = self.store.attempts(id).await.expect("attempts");
        attempts.iter().map(|attempt| format!("{}: {}", attempt.provider, attempt.outcome)).collect()
    }

    pub fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }
}

pub fn smtp(url: &str, timeout_secs: u64) -> SmtpTransport {
    let settings = SmtpSettings {
        url: url.to_owned(),
        from: "Portcullis <no-reply@example.org>".to_owned(),
        allow_plaintext: false,
        extra_root: None,
        timeout: Duration::from_secs(timeout_secs),
        connections: 32,
    };
    SmtpTransport::new(settings, Arc::new(SystemClock)).expect("good settings")
}

pub fn callback_url(provider: &str) -> String {
    format!("https://accounts.example.com/callbacks/sms/{provider}")
}

/// One step of a stepwise notifier: what is due now, delivered.
pub async fn step(notifier: &Addr<NotifierActor>) -> usize {
    notifier.send(DeliverDue).await.expect("the actor lives").expect("the store answers")
}

/// A condition that comes true sooner or later.
pub async fn eventually(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + patience;
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn inhabit(store: &SqlStore) -> (UserId, AppId) {
    let email = "ada@example.com".parse().expect("an address");
    let user = NewUser {
        email,
        first_name: "Ada".parse().expect("a name"),
        last_name: "Admin".parse().expect("a name"),
        password_hash: "none".to_owned(),
        admin: false,
    };
    let app = NewApplication {
        name: "beyondvip".parse().expect("a name"),
        brand: "Beyond VIP".to_owned(),
        mail_from: None,
        sms_from: None,
    };
    let user = match store.create_user(user.clone()).await.expect("a user") {
        Created::New(id) => id,
        Created::Duplicate => store.user_by_email(&user.email).await.expect("read").expect("there").id,
    };
    let app = match store.create_application(app.clone()).await.expect("an application") {
        Created::New(id) => id,
        Created::Duplicate => store.application(Some(&app.name)).await.expect("read").expect("there").id,
    };
    (user, app)
}

impl World {
    /// What the provider of the newest attempt called the message.
    pub async fn store_reference(&self, id: MessageId) -> Option<String> {
        self.store.attempts(id).await.expect("attempts").pop().and_then(|attempt| attempt.reference)
    }

    /// What was noted of the first attempt.
    pub async fn store_detail(&self, id: MessageId) -> String {
        self.store.attempts(id).await.expect("attempts").remove(0).detail.unwrap_or_default()
    }

    /// Whether none of these is on its way any more.
    pub async fn store_settled(&self, ids: &[MessageId]) -> bool {
        let all = self.all().await;
        ids.iter().all(|id| all.iter().any(|message| message.id == *id && message.due.is_none()))
    }
}
