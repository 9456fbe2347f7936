//! The requests that several scenarios send.

use crate::engine::client::Endpoint;
use crate::engine::{Load, Share, Source, Stream, Tag};
use crate::target::{Target, User};
use rand::RngExt as _;
use std::sync::Arc;

/// How a source finds the user of its next request.
#[derive(Clone, Copy)]
pub enum Pick {
    /// One after the other.
    InTurns,
    /// Any of the first so many.
    Uniform(usize),
}

/// Makes one kind of request, each for some user.
struct OfUsers<F> {
    endpoint: Endpoint,
    users: Arc<Vec<User>>,
    /// The numbers of the users of this client thread.
    own: Vec<u32>,
    pick: Pick,
    next: usize,
    make: F,
}

impl<F: Fn(&Endpoint, &User, &mut Vec<u8>)> Source for OfUsers<F> {
    fn next(&mut self, request: &mut Vec<u8>) -> Tag {
        let at = match self.pick {
            Pick::InTurns => {
                self.next += 1;
                self.next % self.own.len()
            }
            Pick::Uniform(_) => rand::rng().random_range(0..self.own.len()),
        };
        let subject = self.own[at] as usize;
        (self.make)(&self.endpoint, &self.users[subject], request);
        Tag { operation: 0, subject }
    }
}

/// The numbers below `count` of the users of one thread; all of them if there are fewer users than threads.
pub fn share_of(count: usize, share: Share) -> Vec<u32> {
    let numbers = 0..u32::try_from(count).unwrap_or(u32::MAX);
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
        let own = match pick {
            Pick::Uniform(of) => share_of(users.len().min(of), share),
            Pick::InTurns => share_of(users.len(), share),
        };
        Box::new(OfUsers { endpoint: endpoint.clone(), users: Arc::clone(&users), own, pick, next: 0, make })
    };
    Stream { operations, load, good: 200, source: Box::new(source) }
}

/// The check of a token.
pub fn check(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    to.request(request, "GET", "/api/v1/sessions/current", Some(&user.token), "");
}

/// A sign-in, always on the same device: it replaces that device's token.
pub fn sign_in(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    to.request(request, "POST", "/api/v1/tokens", None, &sign_in_form(user));
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
