//! `users import`: creates accounts from a file. Each line succeeds or fails as a whole, and a second run makes no
//! duplicates.

use super::{Context, Database, Failure};
use crate::config::Config;
use clap::Args;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::Phone;
use portcullis_actors::hashing::acceptable;
use portcullis_actors::stores::{AccountStore as _, Created, ImportedUser, NewUser};
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

pub(super) const HELP: &str = "Each line is an object with email, first_name, last_name, password_hash (bcrypt \
$2a$/$2b$/$2y$ or $argon2id$)\nand, if known, phone and created_at (RFC 3339). An invalid line is reported with \
its number and skipped.\nAn existing address is not changed.\n\nExample:\n  portcullis users \
import users.ndjson\n  {\"email\":\"ada@example.com\",\"first_name\":\"Ada\",\"last_name\":\"Example\",\
\"password_hash\":\"$2a$12$…\"}";

/// Lines per transaction: enough to hide the latency of the disk, few enough not to block other writers.
const BATCH: usize = 1000;
/// The longest line in bytes.
const LONGEST_LINE: u64 = 16 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArguments {
    /// The file. - is standard input.
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    email: String,
    first_name: String,
    last_name: String,
    password_hash: String,
    phone: Option<String>,
    created_at: Option<String>,
}

/// The results of the lines.
#[derive(Default)]
struct Report {
    imported: u64,
    existing: u64,
    invalid: Vec<(u64, String)>,
}

pub(super) async fn run(
    context: &Context,
    config: &Config,
    accounts: &Database,
    arguments: ImportArguments,
) -> Result<(), Failure> {
    let (mut source, size) = open(&arguments.file)?;
    let bar = context.output.progress(size, "{bar:40} {binary_bytes}/{binary_total_bytes}, {eta} left");
    let region = &config.phone_codes.default_region;
    let mut report = Report::default();
    let mut batch = Vec::with_capacity(BATCH);
    let (mut number, mut stored) = (0_u64, 0_u64);
    loop {
        let line = next_line(&mut source).map_err(|error| read_error(&arguments.file, number + 1, &error))?;
        if let Some(line) = &line {
            number += 1;
            bar.inc(line.len() as u64);
            match parse(line, region) {
                Ok(Some(user)) => batch.push(user),
                Ok(None) => {}
                Err(reason) => report.invalid.push((number, reason)),
            }
        }
        if batch.len() == BATCH || (line.is_none() && !batch.is_empty()) {
            let outcomes = accounts.import_users(std::mem::take(&mut batch)).await.map_err(|error| {
                Failure(format!("{error}; lines up to {stored} are done, run the command again to continue"))
            })?;
            let made = outcomes.iter().filter(|outcome| matches!(outcome, Created::New(_))).count() as u64;
            report.imported += made;
            report.existing += outcomes.len() as u64 - made;
            stored = number;
        }
        if line.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    print(context, &report);
    match report.invalid.len() {
        0 => Ok(()),
        invalid => Err(Failure(format!("{invalid} of {number} lines are invalid and were skipped"))),
    }
}

fn open(path: &Path) -> Result<(Box<dyn BufRead>, u64), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::new(std::io::stdin())), 0));
    }
    let file = File::open(path).map_err(|error| Failure(format!("{}: {}", path.display(), error.kind())))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), size))
}

fn read_error(path: &Path, number: u64, error: &std::io::Error) -> Failure {
    Failure(format!("{}, line {number}: cannot be read ({})", path.display(), error.kind()))
}

/// The next line with its line break. A line that is too long is cut, and its rest is skipped.
fn next_line(source: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    source.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
        source.skip_until(b'\n')?;
    }
    Ok(if line.is_empty() { None } else { Some(line) })
}

/// The account of a line, or `None` for an empty line. Reasons name fields but never values.
fn parse(line: &[u8], region: &str) -> Result<Option<ImportedUser>, String> {
    if line.len() as u64 == LONGEST_LINE {
        return Err("is too long".to_owned());
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line = read(line)?;
    let says = |field: &'static str| move |invalid: portcullis_actors::domain::Invalid| format!("{field} {invalid}");
    let hash_work = acceptable(&line.password_hash).map_err(|invalid| format!("password_hash: {invalid}"))?;
    let phone = line.phone.map(|text| Phone::parse(&text, region)).transpose();
    let created = line.created_at.map(|text| text.parse::<jiff::Timestamp>()).transpose();
    Ok(Some(ImportedUser {
        user: NewUser {
            email: line.email.parse().map_err(says("email"))?,
            first_name: line.first_name.parse().map_err(says("first_name"))?,
            last_name: line.last_name.parse().map_err(says("last_name"))?,
            password_hash: line.password_hash,
            admin: false,
            locale: None,
        },
        hash_work,
        phone: phone.map_err(|error| format!("phone {error}"))?,
        created: created
            .map_err(|_| "created_at must be a time like 2024-05-17T09:30:00Z".to_owned())?
            .map(|time| Timestamp::from_millis(time.as_millisecond())),
    }))
}

/// The fields of a line. The parser's messages contain values of the wrong type, so only messages about names and syntax
/// are kept.
fn read(line: &[u8]) -> Result<Line, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let read: Line = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (field, text) = (error.path().to_string(), error.inner().to_string());
        let text = text.split(" at line ").next().unwrap_or_default();
        let names = ["unknown field", "missing field", "duplicate field"].iter().any(|kind| text.starts_with(kind));
        match error.inner().classify() {
            Category::Data if names => text.to_owned(),
            Category::Data if field == "." => "is not an object".to_owned(),
            Category::Data => format!("{field} is not text"),
            Category::Syntax | Category::Eof | Category::Io => format!("is not JSON: {text}"),
        }
    })?;
    json.end().map_err(|_| "is not JSON: something follows the object".to_owned())?;
    Ok(read)
}

fn print(context: &Context, report: &Report) {
    let refused: Vec<_> = report.invalid.iter().map(|(line, reason)| json!({"line": line, "reason": reason})).collect();
    let object = json!({"imported": report.imported, "already_there": report.existing, "refused": refused});
    context.output.answer(&object, || {
        let refused = report.invalid.iter().map(|(line, reason)| format!("line {line}: {reason}\n"));
        let (imported, existing) = (report.imported, report.existing);
        format!("{}{imported} users imported, {existing} existed already.", refused.collect::<String>())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"email":"Ada@Example.com","first_name":"Ada","last_name":"L","password_hash":"$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW","phone":"(212)555-0123","created_at":"2014-05-17T09:30:00Z"}"#;

    #[test]
    fn a_line_becomes_an_account() {
        let user = parse(GOOD.as_bytes(), "US").expect("is one").expect("is not empty");
        assert_eq!(user.user.email.as_str(), "ada@example.com");
        assert_eq!(user.phone.map(|phone| phone.as_str().to_owned()).as_deref(), Some("+12125550123"));
        assert_eq!(user.created, Some(Timestamp::from_secs(1_400_319_000)));
        assert!(parse(b"  \r\n", "US").expect("is nothing").is_none());
    }

    #[test]
    fn a_line_that_cannot_be_says_which_field() {
        for (from, to, field) in [
            ("Ada@Example.com", "nobody", "email"),
            (r#""first_name":"Ada""#, r#""first_name":"""#, "first_name"),
            (r#""last_name":"L""#, r#""last_name":4711"#, "last_name is not text"),
            (r#""last_name":"L""#, r#""last_name":["4711"]"#, "last_name is not text"),
            (r#""phone":"#, r#""phone":4711,"phone":"#, "phone is not text"),
            (r#""last_name":"L""#, r#""last_name":"4711"x"#, "is not JSON"),
            ("$2a$12$", "$2a$31$", "password_hash"),
            ("$2a$12$", "$1$12$", "password_hash"),
            ("(212)555-0123", "12", "phone"),
            ("2014-05-17T09:30:00Z", "yesterday", "created_at"),
            (r#""phone""#, r#""admin""#, "unknown field `admin`"),
            (r#""email""#, r#""first_name""#, "duplicate field `first_name`"),
        ] {
            let reason = parse(GOOD.replace(from, to).as_bytes(), "US").expect_err(to);
            assert!(reason.starts_with(field), "{to}: {reason}");
            assert!(!reason.contains("R9h/cIPz") && !reason.contains("4711"), "{reason}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_skipped() {
        let text = format!("{}\nnext\n", "x".repeat(100_000));
        let mut source = text.as_bytes();
        let first = next_line(&mut source).expect("reads").expect("is there");
        assert!(parse(&first, "US").is_err());
        assert_eq!(next_line(&mut source).expect("reads").as_deref(), Some(&b"next\n"[..]));
        assert_eq!(next_line(&mut source).expect("reads"), None);
    }
}
