//! The route table, and nothing else. What each call takes and answers stands in the file of its name.
//!
//! ```text
//!  request ──▶ envelope (id, log line, problem document) ──▶ suffix (.json) ──▶ a handler of the files below
//!  handler: extract (parameters, credential) ──▶ dispatcher (permit, deadline) ──message──▶ an actor
//! ```
//!
//! This layer may name the messages of `portcullis_actors` and its parsed values; never a store, a transport or an
//! actor. Handlers decide nothing: they turn a request into a message and an answer into JSON.

mod body;
mod callbacks;
mod cors;
mod devices;
pub mod dispatch;
pub mod error;
mod extract;
mod health;
mod middleware;
pub mod pages;
mod params;
mod password;
mod peer;
mod routes;
mod sessions;
mod settings;
mod state;
mod suffix;
mod tokens;

pub use body::BodyLimits;
pub(crate) use extract::{Incoming, last_segment};
pub use health::Readiness;
pub(crate) use middleware::without_request;
pub use state::{AppState, Ports, Settings};

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, scope};
use routes::{Endpoint, nothing_here};
use std::rc::Rc;

/// Puts every route under `config`.
pub fn configure(config: &mut ServiceConfig, state: web::Data<AppState>) {
    let with_inbox = state.inbox.is_some();
    let cors = Rc::new(cors::Cors::new(&state.settings.cors_origins));
    config.service(
        scope("")
            .app_data(state)
            .wrap(from_fn(suffix::cut))
            .wrap(from_fn(move |request, next| middleware::wrap(Rc::clone(&cors), request, next)))
            .service(scope("/api/v1").configure(api).default_service(nothing_here()))
            .configure(|rest| outside_the_api(rest, with_inbox))
            .default_service(nothing_here()),
    );
}

fn api(config: &mut ServiceConfig) {
    Endpoint::at("/tokens").post(tokens::sign_in).put_into(config);
    Endpoint::at("/tokens/reset").post(tokens::send_reset).put_into(config);
    Endpoint::at("/tokens/introspect").post(tokens::introspect).put_into(config);
    Endpoint::at("/tokens/{user_id}").delete(tokens::sign_out).put_into(config);
    Endpoint::at("/settings/send_phone_verification").post(settings::send_code).put_into(config);
    Endpoint::at("/settings/verify_phone").post(settings::verify_code).put_into(config);
    Endpoint::at("/sessions").get(sessions::list).delete(sessions::close_all).put_into(config);
    Endpoint::at("/sessions/current").get(sessions::check).put_into(config);
    Endpoint::at("/sessions/{id}").delete(sessions::close).put_into(config);
    Endpoint::at("/devices").get(devices::list).put_into(config);
    Endpoint::at("/devices/{device_token}").put(devices::register).delete(devices::drop).put_into(config);
    Endpoint::at("/users/{user_id}/devices").get(devices::of_user).put_into(config);
    Endpoint::at("/password").put(password::set).put_into(config);
}

fn outside_the_api(config: &mut ServiceConfig, with_inbox: bool) {
    Endpoint::at("/health/live").get(health::live).put_into(config);
    Endpoint::at("/health/ready").get(health::ready).put_into(config);
    Endpoint::at("/password/reset").get(pages::reset::forgotten).post(pages::reset::ask).put_into(config);
    Endpoint::at("/password/reset/{token}").get(pages::reset::show).post(pages::reset::submit).put_into(config);
    Endpoint::at("/callbacks/sms/{provider}").post(callbacks::sms).put_into(config);
    Endpoint::at("/pages/style.css").get(pages::style).put_into(config);
    if with_inbox {
        Endpoint::at("/dev/inbox").get(pages::inbox::html).put_into(config);
        Endpoint::at("/dev/inbox.json").get(pages::inbox::json).put_into(config);
    }
}
