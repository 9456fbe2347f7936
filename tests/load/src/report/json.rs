//! A run as JSON, for other programs and for later comparisons.

use crate::measure::Outcome;
use crate::results::Run;
use std::io::Write as _;
use std::path::Path;

/// Writes a run to a file, or to standard output if the file is `-`.
///
/// # Errors
/// When it cannot be written.
pub fn write(run: &Run, file: &Path) -> Outcome<()> {
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    let written =
        if file == Path::new("-") { std::io::stdout().write_all(text.as_bytes()) } else { std::fs::write(file, text) };
    Ok(written.map_err(|error| format!("{}: {error}", file.display()))?)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// When there is no such file, or it holds something else.
pub fn read(file: &Path) -> Outcome<Run> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(serde_json::from_str(&text)
        .map_err(|error| format!("{} is not the result of a run: {error}", file.display()))?)
}
