//! The texts of pages in every language of our messages. A missing text does not compile.

/// Declares the texts of a page: `texts! { pub Texts { title: "Keys", "Claves"; } }`, English first, then Spanish. Spanish says
/// usted, as the mails do.
macro_rules! texts {
    ($(#[$doc:meta])* $visibility:vis $name:ident { $($field:ident: $english:literal, $spanish:literal;)+ }) => {
        $(#[$doc])*
        $visibility struct $name {
            $(pub $field: &'static str,)+
        }

        impl $name {
            /// In this language.
            pub const fn of(locale: portcullis_actors::domain::Locale) -> &'static Self {
                match locale {
                    portcullis_actors::domain::Locale::En => &Self { $($field: $english,)+ },
                    portcullis_actors::domain::Locale::Es => &Self { $($field: $spanish,)+ },
                }
            }
        }
    };
}
pub(super) use texts;
