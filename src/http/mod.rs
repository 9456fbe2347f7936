//! The HTTP layer. This file is the route table; each handler is in the file of its resource.
//!
//! ```text
//!  request ──▶ middleware (id, log line, problem document) ──▶ suffix (.json) ──▶ a handler
//!  handler: extract (parameters, credential) ──▶ dispatcher (permit, deadline) ──message──▶ an actor
//! ```
//!
//! This layer uses the messages of `portcullis_actors` and its parsed values. It uses no store, transport or actor.
//! A handler turns a request into a message, and an answer into JSON. It makes no decisions.

mod body;
mod callbacks;
mod cors;
mod devices;
pub mod dispatch;
mod endpoint;
pub mod error;
mod extract;
mod health;
mod middleware;
pub mod pages;
mod params;
mod password;
mod peer;
mod sessions;
mod settings;
mod state;
mod suffix;
mod tokens;
mod traces;

pub use body::BodyLimits;
pub(crate) use middleware::without_request;
pub use state::{AppState, Ports, Readiness, Settings};
pub use traces::{RequestTraces, TracePolicy};

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, scope};
use endpoint::{Endpoint, not_found};
use std::rc::Rc;

/// Registers all routes.
pub fn configure(config: &mut ServiceConfig, state: web::Data<AppState>) {
    let with_inbox = state.inbox.is_some();
    let traces = state.traces.clone();
    let cors = Rc::new(cors::Cors::new(&state.settings.cors_origins));
    config.service(
        scope("")
            .app_data(state)
            .wrap(from_fn(suffix::strip))
            .wrap(from_fn(move |request, next| middleware::wrap(Rc::clone(&cors), traces.clone(), request, next)))
            .service(scope("/api/v1").configure(api).default_service(not_found()))
            .configure(|config| outside_the_api(config, with_inbox))
            .default_service(not_found()),
    );
}

fn api(config: &mut ServiceConfig) {
    Endpoint::at("/tokens").post(tokens::sign_in).register(config);
    Endpoint::at("/tokens/reset").post(tokens::send_reset).register(config);
    Endpoint::at("/tokens/introspect").post(tokens::introspect).register(config);
    Endpoint::at("/tokens/{user_id}").delete(tokens::sign_out).register(config);
    Endpoint::at("/settings/send_phone_verification").post(settings::send_code).register(config);
    Endpoint::at("/settings/verify_phone").post(settings::verify_code).register(config);
    Endpoint::at("/sessions").get(sessions::list).delete(sessions::close_all).register(config);
    Endpoint::at("/sessions/current").get(sessions::check).register(config);
    Endpoint::at("/sessions/{id}").delete(sessions::close).register(config);
    Endpoint::at("/devices").get(devices::list).register(config);
    Endpoint::at("/devices/{device_token}").put(devices::register).delete(devices::drop).register(config);
    Endpoint::at("/users/{user_id}/devices").get(devices::of_user).register(config);
    Endpoint::at("/password").put(password::set).register(config);
}

fn outside_the_api(config: &mut ServiceConfig, with_inbox: bool) {
    Endpoint::at("/health/live").get(health::live).register(config);
    Endpoint::at("/health/ready").get(health::ready).register(config);
    Endpoint::at("/password/reset").get(pages::reset::forgotten).post(pages::reset::request_link).register(config);
    Endpoint::at("/password/reset/{token}").get(pages::reset::show).post(pages::reset::submit).register(config);
    Endpoint::at("/callbacks/sms/{provider}").post(callbacks::sms).register(config);
    Endpoint::at("/pages/style.css").get(pages::style).register(config);
    if with_inbox {
        Endpoint::at("/dev/inbox").get(pages::inbox::html).register(config);
        Endpoint::at("/dev/inbox.json").get(pages::inbox::json).register(config);
    }
}
