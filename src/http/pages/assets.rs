//! What every page loads: the stylesheet, the script, the mark, and the colours of applications.

use crate::http::error::Problem;
use crate::http::extract::Call;
use crate::http::route::Answer;
use crate::http::state::AppState;
use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use portcullis_actors::domain::Colour;

const STYLE: &str = include_str!("templates/style.css");
const SCRIPT: &str = include_str!("templates/script.js");
const MARK: &str = include_str!("templates/mark.svg");

/// The backgrounds of texts, as in the stylesheet: the darkest of the light scheme, the lightest of the dark one.
const LIGHT: &str = "e8ecf1";
const DARK: &str = "263040";

/// Changes with stylesheet and script (FNV-1a).
pub(super) const VERSION: u32 = hash(SCRIPT, hash(STYLE, 0x811c_9dc5));

const fn hash(text: &str, mut hash: u32) -> u32 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// `GET /pages/style.css`
pub async fn style(_: &AppState, _: Call<'_>) -> Answer {
    Ok(asset("text/css; charset=utf-8", STYLE))
}

/// `GET /pages/script.js`
pub async fn script(_: &AppState, _: Call<'_>) -> Answer {
    Ok(asset("text/javascript; charset=utf-8", SCRIPT))
}

/// `GET /pages/mark.svg`
pub async fn mark(_: &AppState, _: Call<'_>) -> Answer {
    Ok(asset("image/svg+xml", MARK))
}

/// `GET /pages/accent/1f5fd6.css`: the variables of the stylesheet for this colour. Texts on and in it can be read.
///
/// # Errors
/// `not_found` if the name is not a colour.
pub async fn accent(_: &AppState, call: Call<'_>) -> Answer {
    let name = call.parameter()?;
    let colour = name.strip_suffix(".css").and_then(|digits| digits.parse::<Colour>().ok());
    Ok(asset(
        "text/css; charset=utf-8",
        colour.and_then(|colour| accent_rules(&colour)).ok_or_else(Problem::not_found)?,
    ))
}

fn accent_rules(colour: &Colour) -> Option<String> {
    let (light, dark) = (colour.legible_on(&LIGHT.parse().ok()?), colour.legible_on(&DARK.parse().ok()?));
    let on = colour.text();
    Some(format!(
        ":root {{ --accent: #{colour}; --on-accent: #{on}; --accent-text: #{light}; }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --accent: #{colour}; --accent-text: #{dark}; }} }}\n"
    ))
}

/// Nothing in these is secret, so they may be kept for a day.
fn asset(media_type: &'static str, text: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .body(text.into())
}
