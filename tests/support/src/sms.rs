//! An HTTP server shaped like the SMS API, on a free port and a thread of its own. It keeps what it receives and
//! misbehaves on demand.

use crate::http::Http;
use crate::wait::eventually;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request to send a message.
#[derive(Clone, Debug)]
pub struct ReceivedSms {
    /// The account in the path.
    pub account: String,
    /// `Authorization`.
    pub authorization: String,
    /// The form.
    pub form: Vec<(String, String)>,
    /// Its name in the answer; `None` if it was refused.
    pub sid: Option<String>,
}

impl ReceivedSms {
    /// A field of the form; empty if it is missing.
    pub fn field(&self, name: &str) -> &str {
        self.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// What the API answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 201 and a name for the message.
    Created,
    /// This status, an error number in the body, and perhaps `Retry-After`.
    Refused(u16, u32, Option<String>),
    /// 201, after so long.
    After(Duration),
    /// 201, and this name for the message. For an account: this status.
    Named(String),
    /// 307 to this address.
    Elsewhere(String),
}

struct Shared {
    answer: Mutex<Answer>,
    received: Mutex<Vec<ReceivedSms>>,
}

/// `X-Twilio-Signature` of a form posted to `url`: an HMAC of the URL and the sorted form under the account's secret.
pub fn signature(secret: &str, url: &str, form: &[(String, String)]) -> String {
    let mut form = form.to_vec();
    form.sort();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(url.as_bytes());
    form.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// The API of one test; ended when dropped.
pub struct SmsApi {
    http: Http,
    shared: Arc<Shared>,
}

impl SmsApi {
    /// Answers 201.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start() -> Self {
        let shared = Arc::new(Shared { answer: Mutex::new(Answer::Created), received: Mutex::default() });
        let served = web::Data::from(Arc::clone(&shared));
        let http = Http::start(move |app| {
            app.app_data(served.clone());
            app.route("/2010-04-01/Accounts/{account}/Messages.json", web::post().to(create));
            app.route("/2010-04-01/Accounts/{account}.json", web::get().to(account));
        });
        Self { http, shared }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        self.http.url()
    }

    /// The answer from now on.
    pub fn answer(&self, answer: Answer) {
        *lock(&self.shared.answer) = answer;
    }

    /// All requests so far, refused ones too.
    pub fn requests(&self) -> Vec<ReceivedSms> {
        lock(&self.shared.received).clone()
    }

    /// The requests answered with 201.
    pub fn accepted(&self) -> Vec<ReceivedSms> {
        self.requests().into_iter().filter(|sms| sms.sid.is_some()).collect()
    }

    /// Waits until it has accepted this many.
    pub async fn received(&self, count: usize) -> Vec<ReceivedSms> {
        eventually(&format!("{count} SMS"), async || self.accepted().len() >= count).await;
        self.accepted()
    }
}

async fn create(
    request: HttpRequest,
    account: web::Path<String>,
    shared: web::Data<Shared>,
    form: web::Form<Vec<(String, String)>>,
) -> HttpResponse {
    let answer = lock(&shared.answer).clone();
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let mut sms = ReceivedSms {
        account: account.into_inner(),
        authorization: header.unwrap_or_default().to_owned(),
        form: form.into_inner(),
        sid: None,
    };
    let (mut name, mut location) = (None, None);
    let (status, code, retry_after) = match answer {
        Answer::Created => (201, 0, None),
        Answer::Refused(status, code, retry_after) => (status, code, retry_after),
        Answer::After(delay) => {
            tokio::time::sleep(delay).await;
            (201, 0, None)
        }
        Answer::Named(own) => {
            name = Some(own);
            (201, 0, None)
        }
        Answer::Elsewhere(address) => {
            location = Some(address);
            (307, 0, None)
        }
    };
    let sid = {
        let mut received = lock(&shared.received);
        let sid = name.unwrap_or_else(|| format!("SM{:032x}", received.len() + 1));
        sms.sid = (status == 201).then(|| sid.clone());
        received.push(sms);
        sid
    };
    if status == 201 {
        return HttpResponse::Created().json(json!({"sid": sid, "status": "queued"}));
    }
    let status = actix_web::http::StatusCode::from_u16(status).expect("a status");
    let mut response = HttpResponse::build(status);
    if let Some(retry_after) = retry_after {
        response.insert_header(("Retry-After", retry_after));
    }
    if let Some(location) = location {
        response.insert_header(("Location", location));
    }
    response.json(json!({"code": code, "message": "refused"}))
}

/// The account is active unless messages are refused.
async fn account(account: web::Path<String>, shared: web::Data<Shared>) -> HttpResponse {
    match lock(&shared.answer).clone() {
        Answer::Refused(status, code, _) => {
            let status = actix_web::http::StatusCode::from_u16(status).expect("a status");
            HttpResponse::build(status).json(json!({"code": code, "message": "refused"}))
        }
        Answer::Named(status) => HttpResponse::Ok().json(json!({"sid": account.as_str(), "status": status})),
        _ => HttpResponse::Ok().json(json!({"sid": account.as_str(), "status": "active"})),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
