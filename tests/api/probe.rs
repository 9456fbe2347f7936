//! An actor that takes every message of the HTTP layer, keeps it, and gives the answer of the test.

use actix::dev::MessageResponse;
use actix::{Actor, Context, Handler, Message, ResponseFuture};
use portcullis::http::Ports;
use portcullis_actors::Traced;
use portcullis_actors::account::{
    ChangePassword, ChangeProfile, CreateKey, CreateUser, DeleteUser, DropDevice, EndSessions, FindUser, KeyList,
    KeyState, ListDevices, ListKeys, ListedDevice, MadeKey, Person, Profile, RegisterDevice, RevokeKey, RotateKey,
    UpdateUser, UserDevices,
};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{AppId, Credential, DeviceId, Digest, KeyRowId, KeyScope, Locale, MobileOs, UserId};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::notifier::{RecordReport, ReportRefusal};
use portcullis_actors::session::{
    Admit, Admitted, Check, CheckedSession, CloseSession, CloseSessions, Introspect, Introspection, IssuedToken,
    LeavePages, ListSessions, ListedSession, SignIn, SignOut, SignedIn,
};
use portcullis_actors::stores::{Device, KeyRecord, ReportEffect};
use portcullis_actors::verification::{
    Appearance, DescribeApplication, FinishReset, InspectReset, IssueCode, IssueReset, VerifyCode,
};
use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A well-formed user token.
pub const TOKEN: &str = "AAAAAAAAAAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxg";
/// Another one.
pub const OTHER_TOKEN: &str = "AAAAAAAAAAIBAgMEBQYHCAkKCwwNDg8QERITFBUWFxg";
/// A well-formed server key.
pub const KEY: &str = "2zLJaxqVzKJgQ0XfYIg8Wg";

/// How the probe behaves.
#[derive(Clone, Default)]
pub enum Mood {
    /// Succeeds.
    #[default]
    Obliging,
    /// Refuses everything.
    Refusing(ErrorKind),
    /// Tells pages what they ask, and refuses everything else.
    RefusingChanges(ErrorKind),
    /// Succeeds after this time.
    Slow(Duration),
    /// Tells pages what they ask, and succeeds in everything else once this token is cancelled.
    Until(CancellationToken),
    /// Panics.
    Broken,
    /// Answers that the token is inactive, or the report forged.
    Inactive,
}

/// The test's handle of the probe.
#[derive(Clone, Default)]
pub struct Probe {
    seen: Arc<Mutex<Vec<Box<dyn Any + Send>>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Probe {
    /// Behaves like this from now on.
    pub fn be(&self, mood: Mood) {
        *self.mood.lock().expect("not poisoned") = mood;
    }

    /// The number of messages so far.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("not poisoned").len()
    }

    /// The only message since the last call, which must be an `M`.
    pub fn only<M: 'static>(&self) -> M {
        let mut seen = std::mem::take(&mut *self.seen.lock().expect("not poisoned"));
        assert_eq!(seen.len(), 1, "one message");
        *seen.remove(0).downcast().unwrap_or_else(|_| panic!("a {}", std::any::type_name::<M>()))
    }

    /// The messages of type `M` since the last call of this or of `only`; all others are forgotten.
    pub fn all<M: 'static>(&self) -> Vec<M> {
        let seen = std::mem::take(&mut *self.seen.lock().expect("not poisoned"));
        seen.into_iter().filter_map(|message| Some(*message.downcast().ok()?)).collect()
    }

    /// Starts the actor; every port leads to it.
    pub fn ports(&self) -> Ports {
        let address = ProbeActor(self.clone()).start();
        Ports::new(&address, &address, &address, &address, &address)
    }
}

pub struct ProbeActor(Probe);

impl Actor for ProbeActor {
    type Context = Context<Self>;
}

macro_rules! answers {
    ($($message:ident => $answer:expr,)+) => {$(
        impl Handler<$message> for ProbeActor {
            type Result = ResponseFuture<<$message as actix::Message>::Result>;
            fn handle(&mut self, message: $message, _: &mut Context<Self>) -> Self::Result {
                let answer = $answer;
                let made = answer(&message);
                let mood = self.0.mood.lock().expect("not poisoned").clone();
                self.0.seen.lock().expect("not poisoned").push(Box::new(message));
                let questions = [TypeId::of::<InspectReset>(), TypeId::of::<DescribeApplication>()];
                let is_question = questions.contains(&TypeId::of::<$message>());
                Box::pin(async move {
                    match mood {
                        Mood::Obliging | Mood::Inactive => Ok(made),
                        Mood::RefusingChanges(_) | Mood::Until(_) if is_question => Ok(made),
                        Mood::RefusingChanges(kind) => Err(kind),
                        Mood::Refusing(kind) => Err(kind),
                        Mood::Slow(time) => { tokio::time::sleep(time).await; Ok(made) }
                        Mood::Until(opened) => { opened.cancelled().await; Ok(made) }
                        Mood::Broken => panic!("as the test wants it"),
                    }
                })
            }
        }
    )+};
}

answers! {
    SignIn => |_: &_| SignedIn {
        token: IssuedToken::Api(TOKEN.parse().expect("well formed")),
        user: UserId(1),
        first_name: "Ada".parse().expect("a name"),
        last_name: "Admin".parse().expect("a name"),
    },
    SignOut => |_: &_| (),
    LeavePages => |_: &_| (),
    Check => |_: &_| checked(),
    Admit => |_: &_| Admitted { user: UserId(1), app: app(), scopes: vec![KeyScope::OwnerAct, KeyScope::DevicesRead] },
    ListSessions => |_: &_| vec![listed(true), listed(false)],
    CloseSession => |_: &_| (),
    CloseSessions => |_: &_| (),
    IssueCode => |_: &_| (),
    VerifyCode => |_: &_| (),
    IssueReset => |_: &_| (),
    InspectReset => |_: &_| appearance(),
    DescribeApplication => |_: &_| appearance(),
    FinishReset => |_: &_| (),
    ChangePassword => |_: &_| (),
    RegisterDevice => |ask: &RegisterDevice| ListedDevice { app: app(), device: Device {
        device_token: ask.device_token.clone(), mobile_os: ask.mobile_os, push: Some(ask.push.clone()), ..device()
    } },
    ListDevices => |_: &_| vec![ListedDevice { app: app(), device: device() }],
    DropDevice => |_: &_| (),
    Profile => |_: &_| person(),
    FindUser => |_: &_| person(),
    CreateUser => |_: &_| person(),
    UpdateUser => |_: &_| person(),
    DeleteUser => |_: &_| (),
    EndSessions => |_: &_| (),
    UserDevices => |_: &_| vec![ListedDevice { app: app(), device: device() }],
    ChangeProfile => |_: &_| person(),
    ListKeys => |_: &_| KeyList {
        keys: vec![(key(), KeyState::Live)],
        applications: vec![(app(), "Beyond VIP".to_owned())],
        scopes: vec![KeyScope::OwnerAct],
    },
    CreateKey => |_: &_| MadeKey { secret: KEY.parse().expect("well formed"), key: key() },
    RotateKey => |_: &_| MadeKey { secret: KEY.parse().expect("well formed"), key: key() },
    RevokeKey => |_: &_| (),
}

impl Handler<Introspect> for ProbeActor {
    type Result = Result<Introspection, ErrorKind>;
    fn handle(&mut self, message: Introspect, _: &mut Context<Self>) -> Self::Result {
        let is_key = matches!(message.token, Some(Credential::Key(_)));
        self.0.seen.lock().expect("not poisoned").push(Box::new(message));
        match self.0.mood.lock().expect("not poisoned").clone() {
            Mood::Inactive => Ok(Introspection::Inactive),
            Mood::Refusing(kind) => Err(kind),
            _ if is_key => Ok(Introspection::Key(key())),
            _ => Ok(Introspection::Session(checked())),
        }
    }
}

impl Handler<RecordReport> for ProbeActor {
    type Result = Result<ReportEffect, ReportRefusal>;
    fn handle(&mut self, message: RecordReport, _: &mut Context<Self>) -> Self::Result {
        self.0.seen.lock().expect("not poisoned").push(Box::new(message));
        match self.0.mood.lock().expect("not poisoned").clone() {
            Mood::Inactive => Err(ReportRefusal::NotGenuine),
            Mood::Refusing(kind) => Err(kind.into()),
            _ => Ok(ReportEffect::Recorded),
        }
    }
}

impl<M> Handler<Traced<M>> for ProbeActor
where
    M: Message + 'static,
    Self: Handler<M, Result: MessageResponse<Self, Traced<M>>>,
{
    type Result = <Self as Handler<M>>::Result;
    fn handle(&mut self, traced: Traced<M>, context: &mut Context<Self>) -> Self::Result {
        Handler::<M>::handle(self, traced.message, context)
    }
}

fn app() -> portcullis_actors::domain::AppName {
    "beyondvip".parse().expect("a name")
}

fn appearance() -> Appearance {
    Appearance {
        app: app(),
        brand: "Beyond <VIP>".to_owned(),
        colour: Some("ffcc00".parse().expect("a colour")),
        open_url: Some("beyondvip://home".parse().expect("a URL")),
        invited: false,
    }
}

fn key() -> KeyRecord {
    KeyRecord {
        id: KeyRowId(7),
        app: AppId(1),
        app_name: app(),
        owner: UserId(1),
        scopes: vec![KeyScope::OwnerAct, KeyScope::DevicesRead],
        name: "vans".to_owned(),
        created: Timestamp::from_secs(1_764_000_000),
        last_used: None,
        expires: Some(Timestamp::from_secs(1_765_209_600)),
        replaced: None,
        revoked: None,
    }
}

fn id() -> Digest {
    Digest::from_slice(&[7; 16]).expect("16 bytes")
}

fn checked() -> CheckedSession {
    let (created, expires) = (Timestamp::from_secs(1_764_000_000), Timestamp::from_secs(1_765_209_600));
    CheckedSession { user: UserId(1), app: app(), id: id(), created, expires }
}

fn listed(current: bool) -> ListedSession {
    let named = Some(("327".parse().expect("a device"), MobileOs::Ios));
    ListedSession {
        id: id(),
        app: Some(app()),
        device: if current { named } else { None },
        created: Timestamp::from_secs(1_764_000_000),
        last_seen: Timestamp::from_secs(1_764_000_060),
        current,
    }
}

fn person() -> Person {
    Person {
        id: UserId(1),
        email: "admin@beyondvip.com".parse().expect("an address"),
        first_name: "Ada".parse().expect("a name"),
        last_name: "\u{202e}<script>".parse().expect("a name"),
        phone: None,
        phone_verified: None,
        locale: Some(Locale::Es),
        created: Timestamp::from_secs(1_764_000_000),
        admin: false,
        disabled: Some(Timestamp::from_secs(1_764_000_060)),
        invited: true,
    }
}

fn device() -> Device {
    Device {
        id: DeviceId(1),
        app: AppId(1),
        device_token: "327".parse().expect("a device"),
        mobile_os: MobileOs::Ios,
        push: Some("push-1".parse().expect("a push token")),
        seen: Timestamp::from_secs(1_764_000_000),
    }
}
