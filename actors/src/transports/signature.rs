//! The signature of an SMS provider's callbacks: HMAC-SHA1 (RFC 2104) over the URL and the sorted form, in base64, as
//! Twilio documents it under "Validating requests".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The signature of a callback to `url` with this form.
pub(super) fn sign(secret: &[u8], url: &str, params: &[(String, String)]) -> [u8; 20] {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort();
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("any key length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// Whether `signature` is valid for this form, in constant time.
pub(super) fn verify(secret: &[u8], url: &str, params: &[(String, String)], signature: &str) -> bool {
    let Ok(given) = STANDARD.decode(signature) else { return false };
    subtle::ConstantTimeEq::ct_eq(given.as_slice(), sign(secret, url, params).as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The example of the provider's documentation. The expected value was computed independently.
    #[test]
    fn the_documented_example_verifies() {
        let params = form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]);
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert!(verify(b"12345", url, &params, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
        assert!(!verify(b"12346", url, &params, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
    }

    #[test]
    fn any_change_of_the_form_breaks_the_signature() {
        let params = form(&[("MessageSid", "SM1"), ("MessageStatus", "sent")]);
        let signature = STANDARD.encode(sign(b"secret", "https://a.example/x", &params));
        assert!(verify(b"secret", "https://a.example/x", &params, &signature));
        let reversed: Vec<_> = params.iter().rev().cloned().collect();
        assert!(verify(b"secret", "https://a.example/x", &reversed, &signature), "the order does not matter");
        assert!(!verify(b"secret", "https://a.example/y", &params, &signature));
        assert!(!verify(b"secret", "https://a.example/x", &params[..1], &signature));
        assert!(!verify(b"secret", "https://a.example/x", &params, ""));
        assert!(!verify(b"secret", "https://a.example/x", &params, "not base64 !"));
    }
}
