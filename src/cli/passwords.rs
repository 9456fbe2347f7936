//! Where the command line takes a password from: a prompt, or standard input. Never an argument, which everybody sees.

use super::Refused;
use portcullis_actors::domain::Password;
use std::io::{BufRead as _, IsTerminal as _};

/// A new password: one line of standard input, or typed twice.
pub(super) fn new_password(from_stdin: bool) -> Result<Password, Refused> {
    let text = if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|_| Refused("standard input is not text".to_owned()))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password("Password: ").map_err(Refused::because)?;
        if rpassword::prompt_password("Once more: ").map_err(Refused::because)? != typed {
            return Err(Refused("the two passwords differ".to_owned()));
        }
        typed
    } else {
        return Err(Refused("there is no terminal to ask for a password: use --password-stdin".to_owned()));
    };
    text.parse().map_err(|invalid| Refused(format!("the password {invalid}")))
}
