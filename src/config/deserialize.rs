//! Deserializes a section from a table, with errors that show no value. A [`ValueError`] is built only from the expected
//! type. The errors of other `serde` formats contain the value, which may be a password.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use std::fmt::{self, Display};
use toml::Value;

/// Why a value is invalid: a sentence whose subject is the key.
#[derive(Debug)]
pub(super) struct ValueError(String);

impl Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

impl Error for ValueError {
    /// Keeps only the texts of our own types. They all begin with "must be" and are constants.
    fn custom<T: Display>(text: T) -> Self {
        let text = text.to_string();
        Self(if text.starts_with("must be ") { text } else { "is invalid".to_owned() })
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self(format!("must be {}", plain(&wanted.to_string())))
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self(format!("must be {}", plain(&wanted.to_string())))
    }

    fn invalid_length(_: usize, wanted: &dyn Expected) -> Self {
        Self(format!("must be {}", plain(&wanted.to_string())))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self(format!("must be {}", known.join(" or ")))
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self(format!("unknown key. The keys are {}", known.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("must have {field}"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("must have {field} only once"))
    }
}

/// Translates `serde`'s name of a type for operators.
fn plain(wanted: &str) -> &str {
    match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "a table",
        structure if structure.starts_with("struct ") => "a table",
        other => other,
    }
}

pub(super) struct ValueDeserializer(pub(super) Value);

impl<'de> IntoDeserializer<'de, ValueError> for ValueDeserializer {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(flag) => visitor.visit_bool(flag),
            Value::Datetime(_) => Err(ValueError::invalid_type(Unexpected::Other("a time"), &visitor)),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(ValueDeserializer))),
            Value::Table(table) => visitor
                .visit_map(MapDeserializer::new(table.into_iter().map(|(key, value)| (key, ValueDeserializer(value))))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::String(text) => {
                IntoDeserializer::<ValueError>::into_deserializer(text).deserialize_enum(name, variants, visitor)
            }
            _ => Err(ValueError::unknown_variant("", variants)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}
