//! A session as Redis holds it: `app:device:created:idle:absolute[:epoch[:…]]` (see `sessions.lua`).

use super::super::{Session, StoreResult};
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, Digest};
use crate::error::StoreError;

/// Parses the value of a field. Ignores what a newer program wrote behind the epoch.
///
/// # Errors
/// When our scripts did not write it.
pub(super) fn parse(id: Digest, value: &[u8]) -> StoreResult<Session> {
    let text = std::str::from_utf8(value).map_err(StoreError::token_store)?;
    let mut numbers = text.split(':').map(str::parse::<i64>);
    let mut next = || numbers.next().and_then(Result::ok).ok_or_else(unreadable);
    Ok(Session {
        id,
        app: AppId(next()?),
        device: Some(next()?).filter(|device| *device != 0).map(DeviceId),
        created: Timestamp::from_secs(next()?),
        idle_expires: Timestamp::from_secs(next()?),
        absolute_expires: Timestamp::from_secs(next()?),
    })
}

/// Whether the session has not expired; in whole seconds, as in the scripts.
pub(super) fn is_live(session: &Session, now: Timestamp) -> bool {
    session.expires().secs() > now.secs()
}

pub(super) fn unreadable() -> StoreError {
    StoreError::token_store("a value in Redis cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_an_epoch_and_what_a_newer_program_adds() {
        let id = Digest::of(b"token");
        for line in ["7:0:100:200:300", "7:0:100:200:300:12", "7:0:100:200:300:0:new", "7:0:100:200:300:12:new:8"] {
            let session = parse(id, line.as_bytes()).expect("well formed");
            assert_eq!((session.app, session.device), (AppId(7), None));
            assert_eq!(session.expires(), Timestamp::from_secs(200));
            assert!(is_live(&session, Timestamp::from_millis(199_999)));
            assert!(!is_live(&session, Timestamp::from_millis(200_000)));
        }
    }

    #[test]
    fn a_line_that_we_did_not_write_is_an_error() {
        for line in ["", "7:0:100:200", "7:x:100:200:300", "\u{e9}"] {
            assert!(parse(Digest::of(b"token"), line.as_bytes()).is_err(), "{line}");
        }
    }
}
