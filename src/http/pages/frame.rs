//! What surrounds the content of a page: `layout.html` and its two variants, `plain.html` and `app.html`.

use portcullis_actors::domain::{Colour, Locale};

/// The name of this product on its own pages.
pub const PRODUCT: &str = "Portcullis";

/// The head of every page. Templates have it as `frame`.
pub struct Frame<'a> {
    pub locale: Locale,
    pub title: &'a str,
    /// The name of the application that the page speaks for, or [`PRODUCT`].
    pub brand: &'a str,
    /// The application's colour; `None` for ours.
    pub colour: Option<&'a Colour>,
}

impl<'a> Frame<'a> {
    /// The head of a page of our own.
    pub const fn own(locale: Locale, title: &'a str) -> Self {
        Self { locale, title, brand: PRODUCT, colour: None }
    }

    pub fn lang(&self) -> &'static str {
        self.locale.as_str()
    }

    /// In the addresses of stylesheet and script, so that a browser keeps them until they change.
    pub fn version(&self) -> String {
        format!("{:08x}", super::assets::VERSION)
    }

    pub fn is_own(&self) -> bool {
        self.brand == PRODUCT
    }

    pub fn initial(&self) -> &str {
        self.brand.char_indices().nth(1).map_or(self.brand, |(end, _)| &self.brand[..end])
    }
}

/// Header and side navigation of `app.html`. Templates have it as `side`.
pub struct Side<'a> {
    /// Where the mark leads.
    pub home: &'a str,
    /// The part of the product, beside its name.
    pub place: &'a str,
    pub groups: Vec<Group<'a>>,
    /// The signed-in user; `None` on pages without signing in.
    pub who: Option<&'a str>,
    /// The form that signs out is sent to this path.
    pub sign_out: &'a str,
    pub words: &'static Words,
}

/// Links of the navigation.
pub struct Group<'a> {
    /// May be empty.
    pub title: &'a str,
    pub items: Vec<Item<'a>>,
}

/// A link of the navigation.
pub struct Item<'a> {
    pub href: &'a str,
    pub label: &'a str,
    /// One of the icons in `macros.html`.
    pub icon: &'a str,
    /// Whether this is the page that is shown.
    pub current: bool,
}

/// The texts of the header.
pub struct Words {
    pub skip: &'static str,
    pub menu: &'static str,
    pub sign_out: &'static str,
}

impl Words {
    /// The texts in this language.
    pub const fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &Self { skip: "Skip to content", menu: "Menu", sign_out: "Sign out" },
            Locale::Es => &Self { skip: "Ir al contenido", menu: "Menú", sign_out: "Cerrar sesión" },
        }
    }
}
