//! The texts of the settings.

use crate::http::pages::texts::texts;
use portcullis_actors::account::KeyState;
use portcullis_actors::domain::KeyScope;

texts! {
    pub Words {
        settings: "Settings", "Ajustes";
        keys: "Keys", "Claves";
        sessions: "Sessions and devices", "Sesiones y dispositivos";
        sessions_short: "Sessions", "Sesiones";
        account: "Account", "Cuenta";
        show: "Show", "Mostrar";
        hide: "Hide", "Ocultar";
        copy: "Copy", "Copiar";
        copied: "Copied", "Copiado";
        never: "never", "nunca";
        your_password: "Your password", "Su contraseña";
        again: "Asked again because a key acts in your name.", "Se pide de nuevo porque una clave actúa en su nombre.";

        keys_intro:
            "A key lets a program call the API in your name: a back end, a script, a service behind the gateway.",
            "Una clave permite a un programa usar la API en su nombre: un servidor, un script, un servicio tras la pasarela.";
        no_keys: "No keys yet", "Aún no hay claves";
        no_keys_text:
            "Make one to call the API from a program. You can revoke it at any time.",
            "Cree una para usar la API desde un programa. Podrá revocarla en cualquier momento.";
        make_key: "Make a key", "Crear una clave";
        name: "Name", "Nombre";
        application: "Application", "Aplicación";
        scopes: "Permissions", "Permisos";
        last_used: "Last used", "Último uso";
        expires: "Expires", "Caduca";
        created: "Created", "Creada";
        manage: "Manage", "Gestionar";
        ended: "Keys that have ended", "Claves terminadas";
        unnamed: "(no name)", "(sin nombre)";
        live: "valid", "válida";
        replaced: "replaced", "sustituida";
        expired: "expired", "caducada";
        revoked: "revoked", "revocada";
        key_name_hint: "What it is for, so that you know it again.", "Para qué sirve, para que la reconozca después.";
        what_it_may: "What the key may do", "Qué permite la clave";
        valid_for: "Valid for", "Válida durante";
        until_revoked: "until I revoke it", "hasta que la revoque";
        days_30: "30 days", "30 días";
        days_90: "90 days", "90 días";
        days_365: "1 year", "1 año";
        cancel: "Cancel", "Cancelar";
        made_title: "Your new key", "Su clave nueva";
        made: "Copy it now. It is shown only here, and we do not keep it.",
            "Cópiela ahora. Solo se muestra aquí y no la guardamos.";
        made_key: "The key", "La clave";
        try_it: "Try it: this asks who you are", "Pruébela: pregunta quién es usted";
        try_neighbour:
            "Ask a service of yours that trusts this server, for example for your contacts. Put its address in place of ours if it has another one:",
            "Pregunte a un servicio que confíe en este servidor, por ejemplo por sus contactos. Si tiene otra dirección, póngala en lugar de la nuestra:";
        try_demo_neighbour:
            "Ask a service that trusts this server, for your contacts. Start it with: cargo run -p portcullis-contacts",
            "Pregunte por sus contactos a un servicio que confía en este servidor. Inícielo con: cargo run -p portcullis-contacts";
        saved_it: "I have copied it", "Ya la he copiado";
        old_for: "The old key stays valid for", "La clave anterior es válida durante";
        old_ended: "The old key is no longer valid.", "La clave anterior ya no es válida.";
        rotate: "Rotate", "Renovar";
        rotate_text:
            "You get a new key for the same use. The old one stays valid for a while, so that nothing stops while you replace it.",
            "Obtendrá una clave nueva para el mismo uso. La anterior sigue siendo válida un tiempo, para que nada se detenga mientras la sustituye.";
        overlap: "Days that the old key stays valid", "Días que la clave anterior sigue siendo válida";
        overlap_hint: "0 to 90. With 0 it ends at once.", "De 0 a 90. Con 0 termina enseguida.";
        rotate_button: "Make the new key", "Crear la clave nueva";
        revoke: "Revoke", "Revocar";
        revoke_text:
            "Whatever uses this key is refused within a second. This cannot be undone.",
            "Lo que use esta clave será rechazado en un segundo. No se puede deshacer.";
        revoke_button: "Revoke this key", "Revocar esta clave";
        key_revoked: "The key was revoked.", "La clave se ha revocado.";
        form_repeated:
            "This form was sent already, or the key has changed meanwhile. Look at your keys before you try again.",
            "Este formulario ya se envió, o la clave ha cambiado entretanto. Mire sus claves antes de intentarlo de nuevo.";

        acts: "Act for its owner: read and change the owner's account, devices and sessions.",
            "Actuar por su propietario: leer y cambiar su cuenta, sus dispositivos y sus sesiones.";
        introspects: "Ask whether a user's token is valid.", "Preguntar si el token de un usuario es válido.";
        ends_sessions: "End the sessions of users in the application.",
            "Cerrar las sesiones de los usuarios en la aplicación.";
        reads_devices: "Read the push registrations of users in the application.",
            "Leer los registros push de los usuarios en la aplicación.";
        reads_users: "Read accounts: names, address, phone.", "Leer cuentas: nombres, dirección, teléfono.";
        writes_users: "Create, change, disable and delete accounts.", "Crear, cambiar, desactivar y eliminar cuentas.";

        sessions_intro: "Where you are signed in. End what you do not know, and change your password then.",
            "Dónde ha iniciado sesión. Cierre lo que no reconozca y cambie entonces su contraseña.";
        here: "this browser", "este navegador";
        pages: "Web pages of this server", "Páginas web de este servidor";
        place: "Where", "Dónde";
        device: "Device", "Dispositivo";
        since: "Since", "Desde";
        last_seen: "Last seen", "Visto por última vez";
        end: "End", "Cerrar";
        end_others: "End all others", "Cerrar las demás";
        session_ended: "The session was ended.", "La sesión se ha cerrado.";
        others_ended: "All other sessions were ended.", "Las demás sesiones se han cerrado.";
        pushes: "Push notifications", "Notificaciones push";
        pushes_intro: "Devices that an application sends push notifications to.",
            "Dispositivos a los que una aplicación envía notificaciones push.";
        no_pushes: "No device is registered", "No hay ningún dispositivo registrado";
        no_pushes_text: "An app registers by itself when you sign in on a phone.",
            "Una app se registra por sí misma cuando inicia sesión en un teléfono.";
        registered: "Registered", "Registrado";
        drop: "Drop", "Quitar";
        device_dropped: "The device gets no more push notifications from this application.",
            "El dispositivo ya no recibirá notificaciones push de esta aplicación.";

        profile: "Name and language", "Nombre e idioma";
        email: "E-mail address", "Dirección de correo";
        first_name: "First name", "Nombre";
        last_name: "Last name", "Apellidos";
        language: "Language", "Idioma";
        language_hint: "Of these pages and of the messages to you.", "De estas páginas y de los mensajes que le enviamos.";
        save: "Save", "Guardar";
        saved: "Saved.", "Guardado.";
        change_password: "Password", "Contraseña";
        change_password_text: "Your other sessions end when you change it.", "Sus demás sesiones se cierran al cambiarla.";
        current_password: "Current password", "Contraseña actual";
        new_password: "New password", "Contraseña nueva";
        repeat: "New password again", "Repita la contraseña nueva";
        change_password_button: "Change password", "Cambiar contraseña";
        password_changed: "Your password was changed, and your other sessions have ended.",
            "Su contraseña se ha cambiado y las demás sesiones se han cerrado.";
        phone: "Phone", "Teléfono";
        no_phone: "No number is verified.", "No hay ningún número verificado.";
        verified: "verified", "verificado";
        number: "Mobile number", "Número de móvil";
        number_hint: "We send a code to it by SMS.", "Le enviaremos un código por SMS.";
        send_code: "Send a code", "Enviar un código";
        code_sent: "We have sent a code by SMS.", "Hemos enviado un código por SMS.";
        code_sent_to: "We have sent a code by SMS to the number that ends in",
            "Hemos enviado un código por SMS al número terminado en";
        have_code: "I have a code", "Tengo un código";
        code: "Code", "Código";
        verify: "Verify", "Verificar";
        phone_verified: "Your number is verified.", "Su número está verificado.";

        wrong_password: "This is not your password.", "Esta no es su contraseña.";
        too_long_password: "The password has more than 128 characters.", "La contraseña tiene más de 128 caracteres.";
        differ: "The two passwords differ.", "Las dos contraseñas no coinciden.";
        empty_password: "Please enter a password.", "Escriba una contraseña.";
        wrong_name: "Please enter a name of at most 64 characters.", "Escriba un nombre de 64 caracteres como máximo.";
        wrong_person: "Please enter a name of at most 255 characters.", "Escriba un nombre de 255 caracteres como máximo.";
        wrong_scopes: "Choose at least one.", "Elija al menos una opción.";
        wrong_application: "Choose an application.", "Elija una aplicación.";
        wrong_overlap: "Please enter a number from 0 to 90.", "Escriba un número de 0 a 90.";
        wrong_phone: "This is not a mobile number. Write it with its country code, for example +1 212 555 0123.",
            "No es un número de móvil. Escríbalo con el prefijo del país, por ejemplo +34 612 345 678.";
        wrong_region: "We send codes to mobile numbers of supported regions only.",
            "Solo enviamos códigos a móviles de las regiones admitidas.";
        wrong_code: "The code is wrong, already used or expired.", "El código no es correcto, ya se usó o ha caducado.";
        too_many_keys: "You have 50 valid keys. Revoke one that you do not need.",
            "Tiene 50 claves válidas. Revoque una que no necesite.";
        often: "Too many attempts. Try again in", "Demasiados intentos. Inténtelo de nuevo dentro de";
        locked: "There were too many wrong passwords. Choose a new password to go on.",
            "Ha habido demasiadas contraseñas incorrectas. Elija una contraseña nueva para continuar.";
        busy: "The server is busy. Nothing was changed; try again in a moment.",
            "El servidor está ocupado. No se ha cambiado nada; inténtelo de nuevo en un momento.";
    }
}

impl Words {
    /// What a scope permits, in a sentence.
    pub fn scope(&self, scope: &KeyScope) -> &'static str {
        match scope {
            KeyScope::OwnerAct => self.acts,
            KeyScope::TokensIntrospect => self.introspects,
            KeyScope::SessionsRevoke => self.ends_sessions,
            KeyScope::DevicesRead => self.reads_devices,
            KeyScope::UsersRead => self.reads_users,
            KeyScope::UsersWrite => self.writes_users,
        }
    }

    /// A key's state, with the class of its badge.
    pub fn key_state(&self, state: KeyState) -> (&'static str, &'static str) {
        match state {
            KeyState::Live => (self.live, "ok"),
            KeyState::Replaced => (self.replaced, "warn"),
            KeyState::Expired => (self.expired, "quiet"),
            KeyState::Revoked => (self.revoked, "quiet"),
        }
    }

    /// What is wrong with this field. `None` if no form has it.
    pub fn fault(&self, field: &str) -> Option<&'static str> {
        Some(match field {
            "current_password" => self.wrong_password,
            "password" => self.too_long_password,
            "name" => self.wrong_name,
            "first_name" | "last_name" => self.wrong_person,
            "scopes" => self.wrong_scopes,
            "app_id" => self.wrong_application,
            "overlap" => self.wrong_overlap,
            "phone" => self.wrong_phone,
            "token" => self.wrong_code,
            "keys" => self.too_many_keys,
            "form" => self.form_repeated,
            _ => return None,
        })
    }
}
