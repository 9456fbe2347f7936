//! The requests that several scenarios send.

use crate::engine::client::Endpoint;
use crate::engine::{Load, Share, Source, Stream, Tag};
use crate::measure::Outcome;
use crate::target::{Target, User};
use rand::RngExt as _;
use std::ops::Range;
use std::sync::Arc;

/// Whose request is the next.
#[derive(Clone, Debug)]
pub enum Pick {
    /// These users, one after the other.
    InTurns(Range<usize>),
    /// Any of these users.
    Uniform(Range<usize>),
}

impl Pick {
    /// All users of a target, one after the other.
    pub fn all(target: &Target) -> Self {
        Self::InTurns(0..target.users.len())
    }
}

/// Two halves of the users, for streams that must not disturb each other: a sign-in replaces the token of the device.
pub fn halves(target: &Target) -> Outcome<[Pick; 2]> {
    let (half, all) = (target.users.len() / 2, target.users.len());
    if half == 0 {
        return Err("at least two users are needed".into());
    }
    Ok([Pick::InTurns(0..half), Pick::InTurns(half..all)])
}

/// Makes one kind of request, each for some user.
struct OfUsers<F> {
    endpoint: Endpoint,
    users: Arc<Vec<User>>,
    /// The numbers of the users of this client thread.
    own: Vec<u32>,
    uniform: bool,
    next: usize,
    make: F,
}

impl<F: Fn(&Endpoint, &User, &mut Vec<u8>)> Source for OfUsers<F> {
    fn next(&mut self, request: &mut Vec<u8>) -> Tag {
        let at = if self.uniform { rand::rng().random_range(0..self.own.len()) } else { self.next % self.own.len() };
        self.next += 1;
        let subject = self.own[at] as usize;
        (self.make)(&self.endpoint, &self.users[subject], request);
        Tag { operation: 0, subject }
    }
}

/// Those of these numbers that are one thread's; all of them if there are fewer than threads.
pub fn share_of(numbers: &Range<usize>, share: Share) -> Vec<u32> {
    let numbers = numbers.clone().map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let own: Vec<u32> = numbers.clone().filter(|number| share.has(*number as usize)).collect();
    if own.is_empty() { numbers.collect() } else { own }
}

/// A stream of one kind of request.
pub fn stream<F>(target: &Target, operations: &'static [&'static str], load: Load, pick: Pick, make: F) -> Stream
where
    F: Fn(&Endpoint, &User, &mut Vec<u8>) + Copy + Send + Sync + 'static,
{
    let (endpoint, users) = (target.endpoint.clone(), Arc::clone(&target.users));
    let source = move |share| -> Box<dyn Source> {
        let (numbers, uniform) = match &pick {
            Pick::InTurns(numbers) => (numbers, false),
            Pick::Uniform(numbers) => (numbers, true),
        };
        let (endpoint, users, own) = (endpoint.clone(), Arc::clone(&users), share_of(numbers, share));
        Box::new(OfUsers { endpoint, users, own, uniform, next: 0, make })
    };
    Stream { operations, load, good: 200, source: Box::new(source) }
}

/// The check of a token.
pub fn check(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    to.request(request, "GET", "/api/v1/sessions/current", Some(&user.token), "");
}

/// The same question as a proxy asks it.
pub fn gateway(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    to.request(request, "GET", "/gateway/nginx", Some(&user.token), "");
}

/// A sign-in from anywhere, always on the same device: it replaces that device's token.
pub fn sign_in(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    to.request_from(request, "POST", "/api/v1/tokens", None, &sign_in_form(user), Some(&anywhere()));
}

/// Any of 131,072 addresses that nobody has (RFC 2544): the limits of one address are not those of a fleet.
pub fn anywhere() -> String {
    let mut random = rand::rng();
    format!("198.{}.{}.{}", 18 + random.random_range(0..2_u8), random.random::<u8>(), random.random::<u8>())
}

/// The push registration that an app repeats at each launch.
pub fn push(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    let device = &user.device_token;
    let path = format!("/api/v1/devices/{device}");
    to.request(request, "PUT", &path, Some(&user.token), &format!("mobile_os=ios&apn_token=push-{device}"));
}

/// The form of a sign-in.
pub fn sign_in_form(user: &User) -> String {
    let User { email, password, device_token, .. } = user;
    format!("email={}&password={}&device_token={device_token}&mobile_os=ios", form(email), form(password))
}

/// A value in a form.
pub fn form(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}
