//! The texts of the reset pages in every language of our messages. A missing text does not compile.

use portcullis_actors::domain::Locale;
use portcullis_actors::error::PasswordRule;

/// The texts of the reset pages in one language.
pub struct Texts {
    pub locale: Locale,
    /// By a reset link, and by an invitation.
    reset: Choice,
    invitation: Choice,
    /// With the least length for `{}`.
    rules: &'static str,
    pub submit: &'static str,
    pub show: &'static str,
    pub hide: &'static str,
    pub done_title: &'static str,
    /// With the application's name for `{}`.
    pub open: &'static str,
    pub sign_in: &'static str,
    pub back: &'static str,
    pub expired: Request,
    pub forgotten: Request,
    pub email: &'static str,
    pub invalid_email: &'static str,
    pub sent_title: &'static str,
    pub sent: &'static str,
    pub differ: &'static str,
    pub empty: &'static str,
    pub too_long: &'static str,
    too_short: &'static str,
    is_email: &'static str,
    too_common: &'static str,
    pub foreign_title: &'static str,
    pub foreign: &'static str,
    pub failed_title: &'static str,
    pub failed: &'static str,
}

/// The texts about choosing a password.
pub struct Choice {
    pub title: &'static str,
    pub intro: &'static str,
    pub password: &'static str,
    pub repeat: &'static str,
    pub done: &'static str,
}

/// The texts about asking for a link.
pub struct Request {
    pub title: &'static str,
    pub text: &'static str,
    pub send: &'static str,
}

impl Texts {
    /// By an invitation somebody chooses a first password, who was signed in nowhere.
    pub fn choice(&self, invited: bool) -> &Choice {
        if invited { &self.invitation } else { &self.reset }
    }

    /// What a new password must be; `shortest` is its least length in characters.
    pub fn rules(&self, shortest: usize) -> String {
        self.rules.replace("{}", &shortest.to_string())
    }

    /// Why a new password is refused.
    pub fn rule(&self, rule: PasswordRule) -> &'static str {
        match rule {
            PasswordRule::TooShort => self.too_short,
            PasswordRule::IsEmail => self.is_email,
            PasswordRule::TooCommon => self.too_common,
        }
    }
}

const ENGLISH: Texts = Texts {
    locale: Locale::En,
    reset: Choice {
        title: "Choose a new password",
        intro: "You will be signed out on all your devices and can then sign in with the new password.",
        password: "New password",
        repeat: "New password again",
        done: "You were signed out on all your devices. You can now sign in with your new password.",
    },
    invitation: Choice {
        title: "Choose your password",
        intro: "You can then sign in with your e-mail address and this password.",
        password: "Password",
        repeat: "Password again",
        done: "You can now sign in with your e-mail address and your password.",
    },
    rules: "At least {} characters. Not your e-mail address and not a common password. A short sentence works well.",
    submit: "Save password",
    show: "Show",
    hide: "Hide",
    done_title: "Password saved",
    open: "Open {}",
    sign_in: "Sign in",
    back: "Back to sign-in",
    expired: Request {
        title: "This link is no longer valid",
        text: "It was used or has expired. Enter your e-mail address to get a new one.",
        send: "Send a new link",
    },
    forgotten: Request {
        title: "Forgot your password?",
        text: "Enter your e-mail address to get a link for choosing a new password.",
        send: "Send a link",
    },
    email: "E-mail address",
    invalid_email: "Please enter a complete e-mail address.",
    sent_title: "Check your e-mail",
    sent: "If there is an account with this address, we have sent a link to it.",
    differ: "The two passwords differ.",
    empty: "Please enter a password.",
    too_long: "The password has more than 128 characters.",
    too_short: "The password is too short.",
    is_email: "The password must not be the e-mail address.",
    too_common: "This password is too common. Attackers try such passwords first.",
    foreign_title: "The form was not sent from this page",
    foreign: "Nothing was changed. Open the link from the mail again.",
    failed_title: "Something went wrong",
    failed: "Nothing was changed. Try again in a moment.",
};

// Formal address (usted), as in the mails.
const SPANISH: Texts = Texts {
    locale: Locale::Es,
    reset: Choice {
        title: "Elija una contraseña nueva",
        intro: "Se cerrará la sesión en todos sus dispositivos y podrá entrar con la contraseña nueva.",
        password: "Contraseña nueva",
        repeat: "Repita la contraseña nueva",
        done: "Se ha cerrado la sesión en todos sus dispositivos. Ya puede entrar con su contraseña nueva.",
    },
    invitation: Choice {
        title: "Elija su contraseña",
        intro: "Después podrá entrar con su dirección de correo y esta contraseña.",
        password: "Contraseña",
        repeat: "Repita la contraseña",
        done: "Ya puede entrar con su dirección de correo y su contraseña.",
    },
    rules: "Al menos {} caracteres. No puede ser su dirección de correo ni una contraseña común. Una frase corta \
            funciona bien.",
    submit: "Guardar contraseña",
    show: "Mostrar",
    hide: "Ocultar",
    done_title: "Contraseña guardada",
    open: "Abrir {}",
    sign_in: "Entrar",
    back: "Volver a la página de entrada",
    expired: Request {
        title: "Este enlace ya no es válido",
        text: "Ya se ha usado o ha caducado. Escriba su dirección de correo para recibir otro.",
        send: "Enviar otro enlace",
    },
    forgotten: Request {
        title: "¿Ha olvidado su contraseña?",
        text: "Escriba su dirección de correo para recibir un enlace con el que podrá elegir otra.",
        send: "Enviar un enlace",
    },
    email: "Dirección de correo",
    invalid_email: "Escriba una dirección de correo completa.",
    sent_title: "Mire su correo",
    sent: "Si hay una cuenta con esta dirección, recibirá en ella un enlace.",
    differ: "Las dos contraseñas no coinciden.",
    empty: "Escriba una contraseña.",
    too_long: "La contraseña tiene más de 128 caracteres.",
    too_short: "La contraseña es demasiado corta.",
    is_email: "La contraseña no puede ser la dirección de correo.",
    too_common: "La contraseña es demasiado común. Es de las primeras que cualquiera probaría.",
    foreign_title: "El formulario no se ha enviado desde esta página",
    foreign: "No se ha cambiado nada. Vuelva a abrir el enlace del correo.",
    failed_title: "Ahora mismo no ha sido posible",
    failed: "No se ha cambiado nada. Inténtelo de nuevo en un momento.",
};

/// The texts in this language.
pub fn in_language(locale: Locale) -> &'static Texts {
    match locale {
        Locale::En => &ENGLISH,
        Locale::Es => &SPANISH,
    }
}
