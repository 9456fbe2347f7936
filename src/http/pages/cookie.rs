//! The cookie that holds the session of a page (RFC 6265bis, OWASP Session Management): only for this host and path, never
//! for scripts, never sent from other sites.

use crate::http::state::{Listener, Settings};
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use portcullis_actors::domain::{Credential, PagePlace};
use portcullis_actors::session::IssuedToken;

/// The cookie of the pages of one listener. Cookies know no port, so the two listeners have different names.
#[derive(Debug, Clone, Copy)]
pub struct SessionCookie {
    /// The pages that its session opens.
    pub place: PagePlace,
    name: &'static str,
    attributes: &'static str,
}

const PLAIN: &str = "; Path=/; HttpOnly; SameSite=Strict";
const SECURE: &str = "; Path=/; HttpOnly; SameSite=Strict; Secure";

impl SessionCookie {
    /// With the prefix `__Host-`, which demands TLS, if the public URL has TLS. The listener for operators has none.
    pub fn of(settings: &Settings) -> Self {
        let (place, name, attributes) = match settings.listener {
            Listener::Public if settings.public_url.starts_with("https:") => {
                (PagePlace::Settings, "__Host-portcullis", SECURE)
            }
            Listener::Public => (PagePlace::Settings, "portcullis", PLAIN),
            Listener::Operators => (PagePlace::Console, "portcullis-console", PLAIN),
        };
        Self { place, name, attributes }
    }

    /// The session that a browser presents. `None` if there is no such cookie, or more than one: another site of the same
    /// domain may have set it.
    pub fn read(&self, headers: &HeaderMap) -> Option<Credential> {
        // As bytes: the cookies of other sites on this host may be anything.
        let pairs = headers.get_all(COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| self.value(pair));
        let only = values.next().filter(|_| values.next().is_none())?;
        std::str::from_utf8(only).ok()?.parse().ok().map(Credential::Page)
    }

    /// The value of a `name=value` of this name.
    fn value<'p>(&self, pair: &'p [u8]) -> Option<&'p [u8]> {
        pair.trim_ascii().strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")
    }

    /// `Set-Cookie` for a session that was opened. The browser forgets it when it is closed.
    pub fn set(&self, token: &IssuedToken) -> HeaderValue {
        self.with(&token.expose(), "")
    }

    /// `Set-Cookie` that removes it.
    pub fn clear(&self) -> HeaderValue {
        self.with("", "; Max-Age=0")
    }

    fn with(&self, value: &str, end: &str) -> HeaderValue {
        let text = format!("{}={value}{}{end}", self.name, self.attributes);
        let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE_OF_SETTINGS: SessionCookie =
        SessionCookie { place: PagePlace::Settings, name: "__Host-portcullis", attributes: SECURE };

    fn read(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        }
        COOKIE_OF_SETTINGS.read(&headers).is_some()
    }

    #[test]
    fn one_well_formed_cookie_of_this_name_is_read() {
        let token = "A".repeat(44);
        assert!(read(&[&format!("a=b; __Host-portcullis={token}; c")]));
        assert!(read(&["a=b", &format!("__Host-portcullis={token}")]));
        assert!(read(&[&format!("name=Zoë; __Host-portcullis={token}")]), "the cookie of somebody else");
        assert!(!read(&[&format!("portcullis={token}")]));
        assert!(!read(&[&format!("__Host-portcullis=é{token}")]));
        assert!(!read(&[&format!("__Host-portcullis={token}; __Host-portcullis={token}")]));
        assert!(!read(&[&format!("__Host-portcullis={}", "A".repeat(43))]), "a token of the API");
        assert!(!read(&[]));
    }

    #[test]
    fn it_is_removed_as_it_was_set() {
        let text = COOKIE_OF_SETTINGS.clear();
        assert_eq!(text, "__Host-portcullis=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0");
    }
}
