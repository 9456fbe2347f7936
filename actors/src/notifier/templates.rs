//! The texts of messages. A match covers every kind in every language, and the templates are compiled in, so a missing
//! translation or an invalid template fails the build. In files that end in `.html`, values are escaped.

use super::segment;
use crate::clock::Timestamp;
use crate::derive::Code;
use crate::domain::{Colour, Locale, ResetToken};
use crate::transports::SingleLine;
use askama::Template;

pub(super) struct MailText {
    pub(super) subject: SingleLine,
    pub(super) text: String,
    pub(super) html: String,
}

/// The values that all texts share.
#[derive(Clone, Debug)]
pub(super) struct TextContext {
    pub(super) locale: Locale,
    /// The application's name for users.
    pub(super) brand: SingleLine,
    pub(super) colours: Colours,
    /// The recipient's first name.
    pub(super) name: SingleLine,
    /// The public URL of this server, without a trailing slash.
    pub(super) public_url: String,
}

/// The colours of an HTML mail: that of the application, with texts that can be read.
#[derive(Clone, Debug)]
pub(super) struct Colours {
    fill: Colour,
    /// On `fill`.
    text: Colour,
    /// On white.
    link: Colour,
}

impl Colours {
    /// Of this colour, or of our own.
    pub(super) fn of(colour: Option<Colour>) -> Self {
        let fill = colour.unwrap_or_default();
        let (text, link) = (fill.text(), fill.legible_on(&Colour::white()));
        Self { fill, text, link }
    }
}

macro_rules! template {
    ($name:ident, $path:literal { $($field:ident),+ }) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            $($field: &'a str,)+
        }
    };
    ($name:ident, $path:literal in frame { $($field:ident),+ }) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            locale: Locale,
            colours: &'a Colours,
            title: &'a str,
            $($field: &'a str,)+
        }
    };
}

template!(ResetTextEn, "mail/reset_link.en.txt" { brand, name, link, until });
template!(ResetTextEs, "mail/reset_link.es.txt" { brand, name, link, until });
template!(ResetHtmlEn, "mail/reset_link.en.html" in frame { brand, name, link, until });
template!(ResetHtmlEs, "mail/reset_link.es.html" in frame { brand, name, link, until });
template!(InvitationTextEn, "mail/invitation.en.txt" { brand, link, until });
template!(InvitationTextEs, "mail/invitation.es.txt" { brand, link, until });
template!(InvitationHtmlEn, "mail/invitation.en.html" in frame { brand, link, until });
template!(InvitationHtmlEs, "mail/invitation.es.html" in frame { brand, link, until });
template!(NoticeTextEn, "mail/password_notice.en.txt" { brand, name, at });
template!(NoticeTextEs, "mail/password_notice.es.txt" { brand, name, at });
template!(NoticeHtmlEn, "mail/password_notice.en.html" in frame { brand, name, at });
template!(NoticeHtmlEs, "mail/password_notice.es.html" in frame { brand, name, at });
template!(CodeEn, "sms/phone_code.en.txt" { code, brand });
template!(CodeEs, "sms/phone_code.es.txt" { code, brand });

/// The mail with a reset link.
pub(super) fn reset_link(context: &TextContext, token: &ResetToken, expires: Timestamp) -> askama::Result<MailText> {
    let locale = context.locale;
    let (brand, name, colours) = (context.brand.as_str(), context.name.as_str(), &context.colours);
    let (link, until) = (&link(context, token), &clock_time(expires));
    let title = match locale {
        Locale::En => "Choose a new password",
        Locale::Es => "Elija una contraseña nueva",
    };
    let (text, html) = match locale {
        Locale::En => (
            ResetTextEn { brand, name, link, until }.render()?,
            ResetHtmlEn { locale, colours, title, brand, name, link, until }.render()?,
        ),
        Locale::Es => (
            ResetTextEs { brand, name, link, until }.render()?,
            ResetHtmlEs { locale, colours, title, brand, name, link, until }.render()?,
        ),
    };
    Ok(MailText { subject: SingleLine::new(title), text, html })
}

/// The mail with a link that sets the first password. It has no name: a stranger who registers somebody else would write it.
pub(super) fn invitation(context: &TextContext, token: &ResetToken, expires: Timestamp) -> askama::Result<MailText> {
    let locale = context.locale;
    let (brand, colours) = (context.brand.as_str(), &context.colours);
    let (link, until) = (&link(context, token), &date_time(expires));
    let title = match locale {
        Locale::En => "Choose your password",
        Locale::Es => "Elija su contraseña",
    };
    let (text, html) = match locale {
        Locale::En => (
            InvitationTextEn { brand, link, until }.render()?,
            InvitationHtmlEn { locale, colours, title, brand, link, until }.render()?,
        ),
        Locale::Es => (
            InvitationTextEs { brand, link, until }.render()?,
            InvitationHtmlEs { locale, colours, title, brand, link, until }.render()?,
        ),
    };
    Ok(MailText { subject: SingleLine::new(&format!("{brand}: {title}")), text, html })
}

fn link(context: &TextContext, token: &ResetToken) -> String {
    format!("{}/password/reset/{}", context.public_url, token.expose())
}

/// The notice that the password was changed.
pub(super) fn password_notice(context: &TextContext, changed: Timestamp) -> askama::Result<MailText> {
    let locale = context.locale;
    let (brand, name, colours) = (context.brand.as_str(), context.name.as_str(), &context.colours);
    let at = &date_time(changed);
    let title = match locale {
        Locale::En => "Your password was changed",
        Locale::Es => "Su contraseña ha cambiado",
    };
    let (text, html) = match locale {
        Locale::En => (
            NoticeTextEn { brand, name, at }.render()?,
            NoticeHtmlEn { locale, colours, title, brand, name, at }.render()?,
        ),
        Locale::Es => (
            NoticeTextEs { brand, name, at }.render()?,
            NoticeHtmlEs { locale, colours, title, brand, name, at }.render()?,
        ),
    };
    Ok(MailText { subject: SingleLine::new(title), text, html })
}

/// The SMS with a phone code, in one segment: the code first, and last the origin for which phones offer to fill it in
/// (wicg.github.io/sms-one-time-codes). A brand that is too long is cut, then left out.
pub(super) fn phone_code(context: &TextContext, code: &Code) -> askama::Result<String> {
    let code = code.expose();
    let sentence = |brand: &str| match context.locale {
        Locale::En => CodeEn { code, brand }.render(),
        Locale::Es => CodeEs { code, brand }.render(),
    };
    let origin = match context.public_url.split_once("://") {
        Some((_, rest)) => rest.split(['/', ':']).next().unwrap_or_default(),
        None => "",
    };
    let last_line = format!("\n\n@{origin} #{code}");
    let whole = context.brand.as_str();
    let cuts = whole.char_indices().map(|(at, _)| whole[..at].trim_end());
    for brand in std::iter::once(whole).chain(cuts.rev()).filter(|brand| !brand.is_empty()) {
        let text = sentence(brand)? + &last_line;
        if segment::fits_one(&text) {
            return Ok(text);
        }
    }
    let bare = format!("{code}{last_line}");
    Ok(if segment::fits_one(&bare) { bare } else { code.to_owned() })
}

/// `2026-07-14 14:05`
fn date_time(time: Timestamp) -> String {
    format!("{} {}", time.to_string().get(..10).unwrap_or_default(), clock_time(time))
}

/// `14:05`, out of RFC 3339.
fn clock_time(time: Timestamp) -> String {
    time.to_string().get(11..16).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(locale: Locale, brand: &str) -> TextContext {
        TextContext {
            locale,
            brand: SingleLine::new(brand),
            colours: Colours::of(None),
            name: SingleLine::new("Ada <b>"),
            public_url: "https://accounts.example.com:8443".to_owned(),
        }
    }

    #[test]
    fn every_sms_fits_one_segment_with_the_code_first_and_the_origin_last() {
        let long = "The Very Long Name Of A Company ".repeat(8);
        for locale in [Locale::En, Locale::Es] {
            for brand in
                ["Beyond VIP", "Café Ñandú", "東京サインイン株式会社", "Кириллица и ещё немного букв и слов", "", &long]
            {
                let text = phone_code(&context(locale, brand), &Code::typed("198812")).expect("a text");
                assert!(segment::fits_one(&text), "{text:?}");
                assert!(text.starts_with("198812"), "{text:?}");
                assert_eq!(text.lines().last(), Some("@accounts.example.com #198812"));
            }
        }
    }

    #[test]
    fn the_plain_texts_are_cheap_to_send() {
        for locale in [Locale::En, Locale::Es] {
            let text = phone_code(&context(locale, "Beyond VIP"), &Code::typed("198812")).expect("a text");
            assert!(text.contains("Beyond VIP") && segment::is_gsm7(&text), "{text:?}");
        }
    }

    #[test]
    fn html_is_escaped_and_the_plain_text_is_not() {
        let context = context(Locale::En, "Tom & Jerry <script>");
        let mail = password_notice(&context, Timestamp::from_secs(1_764_000_000)).expect("a mail");
        assert!(!mail.html.contains("<script>") && !mail.html.contains("<b>"), "{}", mail.html);
        assert!(mail.text.contains("Ada <b>") && mail.text.contains("Tom & Jerry <script>"));
        assert!(mail.text.contains("2025-11-24 16:00"), "{}", mail.text);
    }

    #[test]
    fn a_mail_has_the_applications_colour_with_texts_that_can_be_read() {
        let token: ResetToken = "A".repeat(43).parse().expect("43 characters of base64url");
        for (colour, fill, text) in [(Some("ffcc00"), "#ffcc00", "#000000"), (None, "#1f5fd6", "#ffffff")] {
            let colours = Colours::of(colour.map(|digits| digits.parse().expect("a colour")));
            let context = TextContext { colours, ..context(Locale::En, "Beyond VIP") };
            let mail = reset_link(&context, &token, Timestamp::from_secs(0)).expect("a mail");
            assert!(mail.html.contains(&format!("background:{fill};color:{text}")), "{}", mail.html);
            assert!(!mail.html.contains("style=\"color:#ffcc00\""), "{}", mail.html);
        }
    }

    #[test]
    fn both_languages_carry_the_link_in_both_bodies() {
        let token: ResetToken = "A".repeat(43).parse().expect("43 characters of base64url");
        for locale in [Locale::En, Locale::Es] {
            let (context, end) = (context(locale, "Beyond VIP"), Timestamp::from_secs(1_764_000_000));
            let link = format!("https://accounts.example.com:8443/password/reset/{}", token.expose());
            let reset = reset_link(&context, &token, end).expect("a mail");
            let invitation = invitation(&context, &token, end).expect("a mail");
            for mail in [&reset, &invitation] {
                assert!(mail.text.contains(&link) && mail.html.contains(&link), "{}", mail.html);
                assert!(mail.html.contains(&format!("lang=\"{}\"", locale.as_str())));
            }
            // It is valid for days.
            assert!(invitation.text.contains("2025-11-24 16:00") && invitation.html.contains("2025-11-24 16:00"));
        }
    }
}
