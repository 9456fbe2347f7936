//! What the reset pages say, in each language that messages are written in. A missing sentence does not compile.

use portcullis_actors::domain::Locale;
use portcullis_actors::error::PasswordRule;

/// The sentences of the reset pages.
pub struct Words {
    pub lang: &'static str,
    pub title: &'static str,
    pub intro: &'static str,
    pub password: &'static str,
    pub repeat: &'static str,
    pub submit: &'static str,
    pub done_title: &'static str,
    pub done: &'static str,
    pub dead_title: &'static str,
    pub dead: &'static str,
    pub ask_title: &'static str,
    pub ask: &'static str,
    pub email: &'static str,
    pub send: &'static str,
    pub no_email: &'static str,
    pub sent_title: &'static str,
    pub sent: &'static str,
    pub differ: &'static str,
    pub empty: &'static str,
    pub too_long: &'static str,
    too_short: &'static str,
    is_email: &'static str,
    too_common: &'static str,
    pub stranger_title: &'static str,
    pub stranger: &'static str,
    pub later_title: &'static str,
    pub later: &'static str,
}

impl Words {
    /// Why a new password is not taken.
    pub fn rule(&self, rule: PasswordRule) -> &'static str {
        match rule {
            PasswordRule::TooShort => self.too_short,
            PasswordRule::IsEmail => self.is_email,
            PasswordRule::TooCommon => self.too_common,
        }
    }
}

const ENGLISH: Words = Words {
    lang: "en",
    title: "Choose a new password",
    intro: "You will be signed out on all your devices and can then sign in with the new password.",
    password: "New password",
    repeat: "New password again",
    submit: "Save password",
    done_title: "Password saved",
    done: "You can now sign in with your new password.",
    dead_title: "This link is no longer valid",
    dead: "It was used or has expired. Enter your e-mail address to get a new one.",
    ask_title: "Forgot your password?",
    ask: "Enter your e-mail address to get a link with which you can choose a new one.",
    email: "E-mail address",
    send: "Send a new link",
    no_email: "Please enter a whole e-mail address.",
    sent_title: "Look into your mail",
    sent: "If there is an account with this address, a new link is on its way to it.",
    differ: "The two passwords differ.",
    empty: "Please enter a password.",
    too_long: "The password has more than 128 characters.",
    too_short: "The password is too short.",
    is_email: "The password must not be the e-mail address.",
    too_common: "The password is too common: it is among the first that anybody would try.",
    stranger_title: "The form was not sent from this page",
    stranger: "Nothing was changed. Open the link from the mail again.",
    later_title: "That did not work just now",
    later: "Nothing was changed. Try again in a moment.",
};

// People are addressed as usted, as in the mails.
const SPANISH: Words = Words {
    lang: "es",
    title: "Elija una contraseña nueva",
    intro: "Se cerrará la sesión en todos sus dispositivos y podrá entrar con la contraseña nueva.",
    password: "Contraseña nueva",
    repeat: "Repita la contraseña nueva",
    submit: "Guardar contraseña",
    done_title: "Contraseña guardada",
    done: "Ya puede entrar con su contraseña nueva.",
    dead_title: "Este enlace ya no es válido",
    dead: "Ya se ha usado o ha caducado. Escriba su dirección de correo para recibir otro.",
    ask_title: "¿Ha olvidado su contraseña?",
    ask: "Escriba su dirección de correo para recibir un enlace con el que podrá elegir otra.",
    email: "Dirección de correo",
    send: "Enviar otro enlace",
    no_email: "Escriba una dirección de correo completa.",
    sent_title: "Mire su correo",
    sent: "Si hay una cuenta con esta dirección, recibirá en ella otro enlace.",
    differ: "Las dos contraseñas no coinciden.",
    empty: "Escriba una contraseña.",
    too_long: "La contraseña tiene más de 128 caracteres.",
    too_short: "La contraseña es demasiado corta.",
    is_email: "La contraseña no puede ser la dirección de correo.",
    too_common: "Es una de las primeras contraseñas que cualquiera probaría.",
    stranger_title: "El formulario no se ha enviado desde esta página",
    stranger: "No se ha cambiado nada. Vuelva a abrir el enlace del correo.",
    later_title: "Ahora mismo no ha sido posible",
    later: "No se ha cambiado nada. Inténtelo de nuevo en un momento.",
};

/// The sentences in this language.
pub fn in_language(locale: Locale) -> &'static Words {
    match locale {
        Locale::En => &ENGLISH,
        Locale::Es => &SPANISH,
    }
}
