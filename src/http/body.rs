//! Reads a request body within limits of size and time, and parses it by its `Content-Type`.

use super::error::{Code, Problem};
use super::params::Params;
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use std::time::Duration;

/// Limits on a request body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub bytes: usize,
    /// How long the body may take to arrive.
    pub time: Duration,
}

/// The parameters in the body. An empty body has none, whatever its `Content-Type`. A body that was read to its end is
/// [`Payload::None`] afterwards.
///
/// # Errors
/// `body_too_large`, `unsupported_media_type`, or `malformed_request` if the body is incomplete or cannot be parsed.
pub async fn read(headers: &HeaderMap, payload: &mut Payload, limits: BodyLimits) -> Result<Params, Problem> {
    let coded = headers.get_all(CONTENT_ENCODING).any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded {
        return Err(Problem::new(Code::UnsupportedMediaType, "The body must not have a Content-Encoding."));
    }
    let bytes = match payload {
        Payload::None => return Ok(Params::default()),
        payload => tokio::time::timeout(limits.time, collect(headers, payload, limits.bytes))
            .await
            .unwrap_or_else(|_| Err(Problem::malformed("The body did not arrive in time.")))?,
    };
    if bytes.is_empty() {
        return Ok(Params::default());
    }
    match Kind::of(headers) {
        Some(Kind::Form) | None if looks_like_json(&bytes) => Err(Problem::new(
            Code::UnsupportedMediaType,
            "The body looks like JSON. Send Content-Type: application/json.",
        )),
        Some(Kind::Form) => Ok(Params::from_form(&bytes)),
        Some(Kind::Json) => Params::from_json(&bytes),
        Some(Kind::Multipart) => Params::from_multipart(headers, bytes).await,
        None => Err(Problem::new(
            Code::UnsupportedMediaType,
            "Send application/x-www-form-urlencoded, multipart/form-data or application/json.",
        )),
    }
}

async fn collect(headers: &HeaderMap, payload: &mut Payload, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge, format!("The body may have at most {limit} bytes."));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("The body is incomplete."))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    *payload = Payload::None;
    Ok(bytes.freeze())
}

/// Whether the body is a JSON object. curl and others send one as a form unless they get a `Content-Type`.
fn looks_like_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{") && Params::from_json(bytes).is_ok()
}

/// Whether the body is one that has parameters, by its `Content-Type`.
pub fn is_form(headers: &HeaderMap) -> bool {
    Kind::of(headers).is_some()
}

enum Kind {
    Form,
    Json,
    Multipart,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = header.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/json" => Some(Self::Json),
            "multipart/form-data" => Some(Self::Multipart),
            _ => None,
        }
    }
}
