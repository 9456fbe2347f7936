//! What a JSON answer looks like. `shapes!` declares the members of an answer together with the type that is written, so
//! that documents cannot say anything else.

use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{Digest, Locale, MobileOs, UserId};

/// The form of a JSON value.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text,
    Integer,
    Flag,
    /// A text of RFC 3339 in UTC, `2025-11-24T16:00:00Z`.
    Time,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Such a value, or null.
    Nullable(&'static Shape),
    List(&'static Shape),
    Object(&'static Object),
}

/// A JSON object.
#[derive(Debug)]
pub struct Object {
    /// Unique among all objects.
    pub name: &'static str,
    pub about: &'static str,
    pub members: &'static [Member],
}

/// A member of an object.
#[derive(Debug)]
pub struct Member {
    pub name: &'static str,
    pub about: &'static str,
    pub shape: Shape,
    /// In JSON. `None` where the members of the value have their own.
    pub example: Option<&'static str>,
    /// False if the member may be absent.
    pub always: bool,
}

/// A type that is written as JSON of this form.
pub trait Shaped {
    const SHAPE: Shape;
}

macro_rules! written_as {
    ($($shape:ident: $($type:ty),+;)+) => {$($(
        impl Shaped for $type {
            const SHAPE: Shape = Shape::$shape;
        }
    )+)+};
}

written_as! {
    Text: String, &str, Digest;
    Integer: i64, UserId;
    Flag: bool;
    Time: Timestamp;
}

impl Shaped for MobileOs {
    const SHAPE: Shape = Shape::OneOf(&MobileOs::NAMES);
}

impl Shaped for Locale {
    const SHAPE: Shape = Shape::OneOf(&Locale::NAMES);
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = Shape::Nullable(&T::SHAPE);
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

/// Declares the types of answers, with a sentence for each member and an example. A member that may be absent begins with
/// `#[serde(skip_serializing_if = "Option::is_none")]`, before its sentence.
macro_rules! shapes {
    ($(
        $(#[doc = $about:literal])+
        $(#[derive($($trait:ident),+)])?
        struct $name:ident $(<$life:lifetime>)? {
            $(
                $(#[serde($($how:tt)+)])?
                $(#[doc = $what:literal])+
                $member:ident: $type:ty $(= $example:literal)?,
            )+
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(serde::Serialize $($(, $trait)+)?)]
        struct $name $(<$life>)? {
            $($(#[serde($($how)+)])? $(#[doc = $what])+ $member: $type,)+
        }

        impl $(<$life>)? $crate::http::shape::Shaped for $name $(<$life>)? {
            const SHAPE: $crate::http::shape::Shape = $crate::http::shape::Shape::Object(&$crate::http::shape::Object {
                name: stringify!($name),
                about: concat!($($about),+),
                members: &[$($crate::http::shape::Member {
                    name: stringify!($member),
                    about: concat!($($what),+),
                    shape: <$type as $crate::http::shape::Shaped>::SHAPE,
                    example: $crate::http::shape::only(&[$(stringify!($example))?]),
                    always: $crate::http::shape::only(&[$(stringify!($($how)+))?]).is_none(),
                }),+],
            });
        }
    )+};
}
pub(super) use shapes;

/// The only one, if there is one.
pub const fn only(texts: &[&'static str]) -> Option<&'static str> {
    match texts {
        [only] => Some(only),
        _ => None,
    }
}
