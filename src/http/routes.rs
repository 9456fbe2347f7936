//! How a line of the route table becomes a resource: methods with their handlers, and refusals for the rest.

use super::error::{Code, Problem};
use actix_web::guard::{Any, Get, Head};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, Route};

/// The calls under one path.
pub struct Endpoint {
    resource: Resource,
    allow: Vec<&'static str>,
}

impl Endpoint {
    /// None yet, under `path`.
    pub fn at(path: &str) -> Self {
        Self { resource: web::resource(path), allow: Vec::new() }
    }

    /// GET, and HEAD which is the same without the content (RFC 9110 §9.3.2).
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("GET, HEAD", web::route().guard(Any(Get()).or(Head())).to(handler))
    }

    /// POST.
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("POST", web::post().to(handler))
    }

    /// PUT.
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("PUT", web::put().to(handler))
    }

    /// DELETE.
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("DELETE", web::delete().to(handler))
    }

    fn route(mut self, methods: &'static str, route: Route) -> Self {
        self.allow.push(methods);
        self.resource = self.resource.route(route);
        self
    }

    /// The last word: any other method is refused with those that there are (RFC 9110 §15.5.6).
    pub fn put_into(self, config: &mut ServiceConfig) {
        let allow = self.allow.join(", ");
        let refuse = move || {
            let allow = Some(allow.clone());
            let detail = "See Allow for the methods of this path.";
            let problem = Problem { allow, ..Problem::new(Code::MethodNotAllowed, detail) };
            async move { Err::<HttpResponse, _>(problem) }
        };
        config.service(self.resource.default_service(web::to(refuse)));
    }
}

/// The answer under every path that is not in the table.
pub fn nothing_here() -> Route {
    web::to(async || Err::<HttpResponse, _>(Problem::not_found()))
}

/// What a handler comes to.
pub type Answer = Result<HttpResponse, Problem>;

/// `{"message": text}`: the answer of calls that have nothing else to say.
pub fn message(text: &'static str) -> Answer {
    Ok(HttpResponse::Ok().json(serde_json::json!({ "message": text })))
}
