//! Raw parameters: names and values of a form, a multipart body, a JSON object or a query string.
//!
//! They are kept in a list, because a map would hide duplicate names. Only parameters that an endpoint reads are
//! checked: old clients send additional ones with any content.

use super::error::Problem;
use actix_multipart::Multipart;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use percent_encoding::percent_decode;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// One value: a text, or the reason why it is not a text.
#[derive(Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    NotText(&'static str),
}

/// Names and values in the order of the request, with duplicates.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Value)>);

impl Params {
    /// Parses `application/x-www-form-urlencoded` (WHATWG URL §5.1), which includes query strings.
    pub fn from_form(bytes: &[u8]) -> Self {
        let pair = |part: &[u8]| {
            let cut = part.iter().position(|&b| b == b'=').unwrap_or(part.len());
            let value = part.get(cut + 1..).unwrap_or_default();
            Some((
                form_decoded(&part[..cut])?,
                form_decoded(value).map_or(Value::NotText("must be UTF-8"), Value::Text),
            ))
        };
        Self(bytes.split(|&b| b == b'&').filter(|part| !part.is_empty()).filter_map(pair).collect())
    }

    /// Parses a JSON object (RFC 8259).
    ///
    /// # Errors
    /// `malformed_request` if it is not a JSON object in UTF-8.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|_| Problem::malformed("The body is not a JSON object."))
    }

    /// Parses `multipart/form-data` (RFC 7578).
    ///
    /// # Errors
    /// `malformed_request` if it cannot be parsed.
    pub async fn from_multipart(headers: &HeaderMap, bytes: Bytes) -> Result<Self, Problem> {
        let malformed = |_| Problem::malformed("The body is not multipart/form-data.");
        let mut parts = Multipart::new(headers, stream::iter([Ok(bytes)]));
        let mut params = Self::default();
        while let Some(mut part) = parts.next().await.transpose().map_err(malformed)? {
            let name = part.name().map(str::to_owned);
            let mut content = Vec::new();
            while let Some(chunk) = part.try_next().await.map_err(malformed)? {
                content.extend_from_slice(&chunk);
            }
            let name = name.ok_or_else(|| Problem::malformed("A part of the body has no name."))?;
            params.0.push((name, String::from_utf8(content).map_or(Value::NotText("must be UTF-8"), Value::Text)));
        }
        Ok(params)
    }

    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// All parameters, with duplicates. `None` if one is not a text.
    pub fn into_texts(self) -> Option<Vec<(String, String)>> {
        let text = |(name, value)| match value {
            Value::Text(text) => Some((name, text)),
            Value::NotText(_) => None,
        };
        self.0.into_iter().map(text).collect()
    }

    /// The first of `names` that is present, in any form (`name`, `name[]`, `name[x]`).
    pub fn any_of(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.0.iter().any(|(given, _)| base(given) == *name))
    }

    /// The text of a parameter, or `None` if it is absent.
    ///
    /// # Errors
    /// `malformed_request` if it occurs twice or is not a text.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let refuse = |why: &str| Err(Problem::malformed(format!("{name} {why}.")));
        let mut found = None;
        for (given, value) in self.0.iter().filter(|(given, _)| base(given) == name) {
            match value {
                _ if given != name => return refuse("must be a string, not an array or an object"),
                _ if found.is_some() => return refuse("must not be sent twice"),
                Value::NotText(why) => return refuse(why),
                Value::Text(text) => found = Some(text.as_str()),
            }
        }
        Ok(found)
    }
}

/// Decodes a name or a value of a form. `None` if it is not UTF-8.
pub fn form_decoded(part: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = part.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

/// The name without an index: `email` for `email[]` and `email[0]`.
fn base(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Params;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
                let mut params = Params::default();
                while let Some(pair) = map.next_entry()? {
                    params.0.push(pair);
                }
                Ok(params)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const A_NUMBER: Value = Value::NotText("must be a string, not a number");
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::NotText("must be a string, not a boolean"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(A_NUMBER)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(A_NUMBER)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(A_NUMBER)
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::NotText("must be a string, not null"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::NotText("must be a string, not an array"))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::NotText("must be a string, not an object"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_every_parameter() {
        let form = Params::from_form(b"a=1+2%2B3&b&&c=%ff&d=1&d=1&e[]=1&f[x]=1&%ff=1&g=50%");
        assert_eq!(form.text("a"), Ok(Some("1 2+3")));
        assert_eq!(form.text("b"), Ok(Some("")));
        assert_eq!(form.text("g"), Ok(Some("50%")));
        assert_eq!(form.text("none"), Ok(None));
        for name in ["c", "d", "e", "f"] {
            assert!(form.text(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_json_object_hides_nothing() {
        let json = br#"{"a":"x","b":1,"c":null,"d":[],"e":{"a":[1]},"f":true,"g":"1","g":"2","h":1.5,"i":"\u00e9"}"#;
        let params = Params::from_json(json).expect("an object");
        assert_eq!(params.text("a"), Ok(Some("x")));
        assert_eq!(params.text("i"), Ok(Some("é")));
        for name in ["b", "c", "d", "e", "f", "g", "h"] {
            assert!(params.text(name).is_err(), "{name}");
        }
        for text in ["", "[]", "1", "null", "\"a\"", "{", "{\"a\":\"\\ud800\"}", "{} {}", "{\"a\":}"] {
            assert!(Params::from_json(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Params::from_json(b"{\"a\":\"\xff\"}").is_err());
    }
}
