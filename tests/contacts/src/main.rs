//! `portcullis-contacts`: asks the Portcullis of `cargo run`, with its demo key, and listens on 127.0.0.1:8091.
//! `portcullis-contacts behind`: behind a proxy of `config/gateway`, on 127.0.0.1:8090.
//!
//! `CONTACTS_BIND`, `CONTACTS_PORTCULLIS` (a URL) and `CONTACTS_KEY` replace the addresses and the key.

use actix_web::rt::System;
use actix_web::{App, HttpServer};
use portcullis_contacts::{Portcullis, asking, behind_gateway};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let form = std::env::args().nth(1);
    match form.as_deref() {
        None => {
            let url = setting("CONTACTS_PORTCULLIS", "http://127.0.0.1:8080");
            let portcullis = Portcullis::new(&url, &setting("CONTACTS_KEY", "2zLJaxqVzKJgQ0XfYIg8Wg"))?;
            serve("127.0.0.1:8091", asking(portcullis))
        }
        Some("behind") => serve("127.0.0.1:8090", behind_gateway()),
        Some(other) => Err(format!("{other}: the only argument is behind").into()),
    }
}

fn serve(
    address: &str,
    service: impl Fn(&mut actix_web::web::ServiceConfig) + Clone + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let address = setting("CONTACTS_BIND", address);
    println!("GET http://{address}/api/v1/contacts.json");
    let server = HttpServer::new(move || App::new().configure(service.clone())).workers(1).bind(address)?;
    Ok(System::new().block_on(server.run())?)
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, without the configuration of the server")]
fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
