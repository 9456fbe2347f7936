//! Values in files of their own, such as mounted secrets and the credentials of systemd.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The largest file in bytes. The longest value, a list of keys, has a few hundred.
const LONGEST: u64 = 64 * 1024;

/// The content of a file, without one newline (or CR LF) at its end, which editors and `echo` add.
///
/// # Errors
/// What is wrong with the file, as the end of a sentence. It has the path, but never the content. A path that is not
/// absolute is not shown, since it may be the secret itself, set in the wrong variable.
pub(super) fn read(path: &Path) -> Result<String, String> {
    if !path.is_absolute() {
        return Err("must be the absolute path of a file".to_owned());
    }
    // In quotes and escaped, so that a fault is one line.
    let that = |says: &str| format!("the file {path:?} {says}");
    let unreadable = |error: io::Error| that(&format!("cannot be read ({})", error.kind()));
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(that("cannot be read (not a file)"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(that(&format!("is longer than {LONGEST} bytes")));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| that("is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// The names and paths of the files of a folder, sorted. A name that is not UTF-8 is left out.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    files.sort();
    Ok(files)
}
