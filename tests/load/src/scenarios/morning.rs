//! The morning of a mobile fleet: checks, push registrations, sign-ins, sign-outs and resets, with open arrivals.
//! With the limits and the log of production. `morning.js` and `locustfile.py` beside this package are the same for k6 and Locust.

use crate::engine::client::Endpoint;
use crate::engine::{Share, Source, Stream, Tag};
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::Outcome;
use crate::results::Run;
use crate::sources::{anywhere, form, share_of, sign_in};
use crate::target::User;
use rand::RngExt as _;
use std::collections::HashMap;
use std::sync::Arc;

/// Parts of a thousand, as in the scripts; a test compares them.
const MIX: [(&str, u32); 5] =
    [("check", 850), ("push-registration", 100), ("sign-in", 40), ("sign-out", 8), ("reset", 2)];
/// The same names, in the same order.
pub(super) const OPERATIONS: &[&str] = &["check", "push-registration", "sign-in", "sign-out", "reset"];
const CHECK: usize = 0;
const PUSH: usize = 1;
const SIGN_IN: usize = 2;
const SIGN_OUT: usize = 3;
const RESET: usize = 4;

/// Requests per second, so that one core can hash the sign-ins.
const RATE: f64 = 400.0;
const USERS: u64 = 10_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &AS_IN_PRODUCTION)?;
    let load = kit.open(kit.options.rate.unwrap_or(RATE));
    let (endpoint, users) = (target.endpoint.clone(), Arc::clone(&target.users));
    let source = move |share| -> Box<dyn Source> { Box::new(Fleet::new(endpoint.clone(), Arc::clone(&users), share)) };
    let stream = Stream { operations: OPERATIONS, load, good: 200, source: Box::new(source) };
    let measured = kit.measure("morning", &target, vec![stream], kit.duration(20))?;
    Ok(kit.results(&target, load, &measured))
}

/// The phones of one client thread.
struct Fleet {
    endpoint: Endpoint,
    users: Arc<Vec<User>>,
    /// Those without a request under way, so that none ends the session that another request uses.
    free: Vec<u32>,
    /// Those of this thread, and the ones among them that were taken although they were not free, once for each time.
    all: Vec<u32>,
    shared: Vec<u32>,
    /// The present token of each user who signed in again or out since the file was written.
    tokens: HashMap<u32, Option<Box<str>>>,
}

impl Fleet {
    fn new(endpoint: Endpoint, users: Arc<Vec<User>>, share: Share) -> Self {
        let all = share_of(&(0..users.len()), share);
        Self { endpoint, users, free: all.clone(), all, shared: Vec::new(), tokens: HashMap::new() }
    }

    /// Any phone without a request under way. When there is none, some phone sends two at a time.
    fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let number = self.all[rand::rng().random_range(0..self.all.len())];
            self.shared.push(number);
            return number;
        }
        let at = rand::rng().random_range(0..self.free.len());
        self.free.swap_remove(at)
    }
}

/// A kind of request by its share.
fn any() -> usize {
    let mut left: u32 = rand::rng().random_range(0..1_000);
    for (operation, (_, share)) in MIX.iter().enumerate() {
        match left.checked_sub(*share) {
            Some(rest) => left = rest,
            None => return operation,
        }
    }
    CHECK
}

impl Source for Fleet {
    fn next(&mut self, request: &mut Vec<u8>) -> Tag {
        let number = self.take();
        let user = &self.users[number as usize];
        let token = self.tokens.get(&number).map_or(Some(&user.token), Option::as_ref).map(|token| &**token);
        // Who has signed out signs in next.
        let operation = match any() {
            RESET => RESET,
            operation if token.is_some() => operation,
            _ => SIGN_IN,
        };
        let (to, device) = (&self.endpoint, &user.device_token);
        match operation {
            PUSH => {
                let form = format!("mobile_os=ios&apn_token=push-{device}");
                to.request(request, "PUT", &format!("/api/v1/devices/{device}"), token, &form);
            }
            SIGN_IN => sign_in(to, user, request),
            SIGN_OUT => to.request(request, "DELETE", &format!("/api/v1/tokens/{}", user.user_id), token, ""),
            RESET => {
                let form = format!("email={}", form(&user.email));
                to.request_from(request, "POST", "/api/v1/tokens/reset", None, &form, Some(&anywhere()));
            }
            _ => to.request(request, "GET", "/api/v1/sessions/current", token, ""),
        }
        Tag { operation, subject: number as usize }
    }

    fn answered(&mut self, tag: Tag, status: Option<u16>, body: &[u8]) {
        let number = tag.subject as u32;
        match (tag.operation, status) {
            (SIGN_IN, Some(200)) => {
                if let Some(token) = token(body) {
                    self.tokens.insert(number, Some(token.into()));
                }
            }
            // Without an answer nobody knows whether the token has ended: the phone signs in again.
            (SIGN_OUT, Some(200) | None) | (_, Some(401)) => {
                self.tokens.insert(number, None);
            }
            _ => {}
        }
        // Free once, after its last answer.
        match self.shared.iter().position(|shared| *shared == number) {
            Some(at) => drop(self.shared.swap_remove(at)),
            None => self.free.push(number),
        }
    }
}

/// The token in the answer to a sign-in.
fn token(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok()?.split_once("\"token\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_are_those_of_the_mix() {
        assert_eq!(MIX.map(|(name, _)| name), OPERATIONS);
        assert_eq!(MIX.iter().map(|(_, share)| share).sum::<u32>(), 1_000);
    }

    fn fleet() -> Fleet {
        let user = User {
            email: "a+b@c.example".into(),
            password: "p".into(),
            user_id: 7,
            token: "OLD".into(),
            device_token: "d".into(),
        };
        let endpoint = Endpoint::at(([127, 0, 0, 1], 80).into());
        Fleet::new(endpoint, Arc::new(vec![user]), Share { thread: 0, threads: 1 })
    }

    #[test]
    fn a_phone_is_free_once_however_many_requests_it_had() {
        let mut fleet = fleet();
        let tags = [(); 3].map(|()| fleet.next(&mut Vec::new()));
        assert!(fleet.free.is_empty());
        for (answered, tag) in tags.into_iter().enumerate() {
            fleet.answered(tag, Some(200), b"");
            assert_eq!(fleet.free.len(), usize::from(answered == 2));
        }
    }

    #[test]
    fn who_has_signed_out_signs_in_next() {
        let mut fleet = fleet();
        fleet.free.clear();
        fleet.answered(Tag { operation: SIGN_OUT, subject: 0 }, Some(200), b"");
        let mut next = || {
            let mut request = Vec::new();
            let tag = fleet.next(&mut request);
            fleet.answered(tag, Some(200), b"{\"token\":\"NEW\",\"user_info\":{}}");
            (tag.operation, String::from_utf8(request).unwrap())
        };
        let (operation, request) =
            std::iter::repeat_with(&mut next).find(|(operation, _)| *operation != RESET).unwrap();
        assert_eq!(operation, SIGN_IN);
        assert!(request.ends_with("email=a%2Bb%40c.example&password=p&device_token=d&mobile_os=ios"), "{request}");
        let (_, request) = std::iter::repeat_with(&mut next).find(|(operation, _)| *operation == CHECK).unwrap();
        assert!(request.contains("Bearer NEW\r\n"), "{request}");
    }
}
