//! The secret keys: from the configuration, or (except in production) from a file that is created once.

use crate::config::{Config, SecretKey};
use portcullis_actors::derive::{Keyring, random_bytes};
use portcullis_actors::error::StartError;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The secrets from which tokens, codes and links are derived.
pub(crate) fn keyring(config: &Config) -> Result<Keyring, StartError> {
    let stored;
    let keys = if config.secrets.keys.is_empty() {
        let path = config.data_folder().join("secret.key");
        let fault = |error: io::Error| StartError(format!("the secret key {}: {error}", path.display()));
        stored = [stored_key(&path).map_err(fault)?];
        &stored[..]
    } else {
        &config.secrets.keys
    };
    let secrets: Vec<_> = keys.iter().map(|key| key.expose().clone()).collect();
    Keyring::new(&secrets).map_err(|error| StartError(format!("`secrets.keys`: {error}")))
}

/// The key in the file. A missing file is created.
fn stored_key(path: &Path) -> io::Result<SecretKey> {
    let read = || -> io::Result<SecretKey> {
        let text = fs::read_to_string(path)?;
        SecretKey::parse(text.trim())
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "must be 32 bytes in base64"))
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => create(path).and_then(|()| read()),
        outcome => outcome,
    }
}

/// Creates the file atomically. If another process was faster, its file stays.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", *SecretKey::new(random_bytes()).to_base64())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/secret.key");
        let key = stored_key(&path).expect("is made");
        let again = stored_key(&path).expect("is read");
        assert_eq!(key.expose(), again.expose());
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().expect("has one")).expect("is there").count(), 1, "no draft is left");
        fs::write(&path, "short").expect("writes");
        assert!(stored_key(&path).is_err(), "a broken key is not replaced");
    }

    #[test]
    fn of_two_who_make_it_both_get_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret.key");
        create(&path).expect("is made");
        let first = fs::read(&path).expect("is there");
        create(&path).expect("is left alone");
        assert_eq!(fs::read(&path).expect("is there"), first);
    }
}
