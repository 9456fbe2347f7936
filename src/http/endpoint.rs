//! One entry of the route table: a path, a handler for each method, and 405 for all other methods.

use super::error::{Code, Problem};
use actix_web::guard::{Any, Get, Head};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, Route};

/// A path and the methods that it supports.
pub struct Endpoint {
    resource: Resource,
    allow: Vec<&'static str>,
}

macro_rules! method {
    ($(#[$doc:meta])* $name:ident, $allow:literal, $route:expr) => {
        $(#[$doc])*
        pub fn $name<F, Args>(mut self, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.allow.push($allow);
            self.resource = self.resource.route($route.to(handler));
            self
        }
    };
}

impl Endpoint {
    /// An endpoint without methods.
    pub fn at(path: &str) -> Self {
        Self { resource: web::resource(path), allow: Vec::new() }
    }

    method! {
        /// Adds GET and HEAD, which is the same without the content (RFC 9110 §9.3.2).
        get, "GET, HEAD", web::route().guard(Any(Get()).or(Head()))
    }
    method! { post, "POST", web::post() }
    method! { put, "PUT", web::put() }
    method! { delete, "DELETE", web::delete() }

    /// Registers the endpoint. Other methods are refused with the list of supported ones (RFC 9110 §15.5.6).
    pub fn register(self, config: &mut ServiceConfig) {
        let allow = self.allow.join(", ");
        let refuse = move || {
            let allow = Some(allow.clone());
            let detail = "The Allow header lists the methods of this path.";
            let problem = Problem { allow, ..Problem::new(Code::MethodNotAllowed, detail) };
            async move { Err::<HttpResponse, _>(problem) }
        };
        config.service(self.resource.default_service(web::to(refuse)));
    }
}

/// Answers 404 for every path that has no endpoint.
pub fn not_found() -> Route {
    web::to(async || Err::<HttpResponse, _>(Problem::not_found()))
}

/// What a handler returns.
pub type Answer = Result<HttpResponse, Problem>;

/// `{"message": text}`: the answer of calls that return no data.
pub fn message(text: &'static str) -> Answer {
    Ok(HttpResponse::Ok().json(serde_json::json!({ "message": text })))
}
