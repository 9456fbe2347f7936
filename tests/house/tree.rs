//! The files of the repository, as text.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub struct Source {
    /// Its path from the top, with slashes.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Where the repository begins.
pub fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All text files but what is built, run or kept by tools.
pub fn all() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&top(), &top(), &mut found);
    assert!(found.len() > 50, "the repository was not found");
    found
}

/// The Rust files.
pub fn rust() -> Vec<Source> {
    all().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn walk(top: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if ["target", "data", ".git"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() {
            walk(top, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(top).expect("below the top").to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}
