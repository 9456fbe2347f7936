//! Removes `.json` from the end of an API path, before the route is looked up.

use super::error::{Code, Problem};
use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;

/// The format that the end of a path requests.
#[derive(Debug, PartialEq, Eq)]
enum Format<'a> {
    Default,
    /// With the path without its suffix.
    Json(&'a str),
    Other,
}

impl<'a> Format<'a> {
    fn of(path: &'a str) -> Self {
        let Some(resource) = path.strip_prefix("/api/v1/") else { return Self::Default };
        // The last segment is a device token here, and it may contain dots.
        if resource.starts_with("devices/") {
            return Self::Default;
        }
        let last = resource.rsplit('/').next().unwrap_or_default();
        match last.rsplit_once('.') {
            None => Self::Default,
            Some((_, "json")) => Self::Json(path.strip_suffix(".json").unwrap_or(path)),
            Some(_) => Self::Other,
        }
    }
}

/// Treats `/tokens.json` as `/tokens`, and refuses `/tokens.xml`.
///
/// # Errors
/// Only those of `next`.
pub async fn strip(mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let uri = match Format::of(request.path()) {
        Format::Default => return next.call(request).await,
        Format::Other => {
            let refusal = Problem::new(Code::NotAcceptable, "The only supported suffix is .json.");
            return Ok(request.error_response(refusal));
        }
        Format::Json(path) => match with_path(request.uri(), path) {
            Some(uri) => uri,
            None => return Ok(request.error_response(Problem::not_found())),
        },
    };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    Ok(next.call(request).await?.map_body(|_, body| body.boxed()))
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_an_api_path_requests_a_format() {
        assert_eq!(Format::of("/api/v1/tokens"), Format::Default);
        assert_eq!(Format::of("/api/v1/tokens.json"), Format::Json("/api/v1/tokens"));
        assert_eq!(Format::of("/api/v1/tokens/1.json"), Format::Json("/api/v1/tokens/1"));
        assert_eq!(Format::of("/api/v1/tokens.xml"), Format::Other);
        assert_eq!(Format::of("/api/v1/tokens."), Format::Other);
        assert_eq!(Format::of("/api/v1/tokens.json.xml"), Format::Other);
        assert_eq!(Format::of("/api/v1/devices.json"), Format::Json("/api/v1/devices"));
        assert_eq!(Format::of("/api/v1/devices/a.json"), Format::Default);
        assert_eq!(Format::of("/dev/inbox.json"), Format::Default);
    }
}
