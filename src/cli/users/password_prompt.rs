//! Reads a password from a prompt or from standard input. It is never an argument, which other users can see.

use super::Failure;
use portcullis_actors::domain::Password;
use std::io::{BufRead as _, IsTerminal as _};

/// A new password: one line of standard input, or typed twice at a prompt.
pub(super) fn new_password(from_stdin: bool) -> Result<Password, Failure> {
    let text = if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|_| Failure("standard input is not UTF-8".to_owned()))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password("Password: ").map_err(Failure::because)?;
        if rpassword::prompt_password("Repeat the password: ").map_err(Failure::because)? != typed {
            return Err(Failure("the two passwords differ".to_owned()));
        }
        typed
    } else {
        return Err(Failure("there is no terminal for a password prompt: use --password-stdin".to_owned()));
    };
    text.parse().map_err(|invalid| Failure(format!("the password {invalid}")))
}
