//! [`PulseStore`] on SQL: one statement, of which each part reads an entry or two of an index.

use super::time::StatementTime;
use super::{Dialect, SqlStore};
use crate::clock::{ClockSkew, Timestamp};
use crate::stores::{Channel, Pulse, PulseStore, StoreResult};
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _};
use std::fmt::Write as _;
use tokio::time::Instant;

#[async_trait]
impl PulseStore for SqlStore {
    async fn pulse(&self) -> StoreResult<Pulse> {
        let (began, time) = (Instant::now(), self.time());
        let (oldest, all) = self.bounds.pulse();
        let mut question = sqlx::query(AssertSqlSafe(question(time))).bind(time.now()).bind(oldest.expires);
        for channel in Channel::ALL {
            question = question.bind(oldest.due(channel));
        }
        let pulse = self.read(async |c| {
            let row = question.fetch_one(c).await?;
            let now: i64 = row.try_get("now")?;
            let expires: Option<i64> = row.try_get("expires")?;
            let due = |channel: Channel| Ok((channel, row.try_get::<Option<i64>, _>(channel.as_str())?));
            let due = Channel::ALL.into_iter().map(due).collect::<sqlx::Result<Vec<_>>>()?;
            self.bounds.found(&due, expires, now, all);
            let skew = ClockSkew::measured(time.of_node(), Timestamp::from_millis(now), self.clock.now());
            let is_past = |time: Option<i64>| time.is_some_and(|time| time <= now);
            Ok(Pulse {
                began,
                clock_skew: (self.dialect == Dialect::Postgres).then_some(skew),
                revocations_pending: row.try_get::<i64, _>("revocations")? > 0,
                newest_revocation: row.try_get::<Option<i64>, _>("revocation")?.unwrap_or(0),
                newest_closing: row.try_get::<Option<i64>, _>("closing")?.unwrap_or(0),
                costliest_import: row.try_get::<Option<i64>, _>("import")?.and_then(|n| n.try_into().ok()).unwrap_or(0),
                applications: row.try_get::<Option<String>, _>("applications")?.unwrap_or_default(),
                messages_due: due.iter().any(|(_, oldest)| is_past(*oldest)),
                messages_expired: is_past(expires),
            })
        });
        pulse.await
    }
}

/// Parameters: the time, the bound of `expires`, and for each channel that of `due`.
fn question(time: StatementTime) -> String {
    let applications = match time.dialect {
        Dialect::Sqlite => {
            "SELECT group_concat(id || quote(name) || quote(brand) || quote(mail_from) || quote(sms_from) || \
             quote(colour) || quote(open_url) || is_default) FROM applications"
        }
        Dialect::Postgres => "SELECT md5(string_agg(a::TEXT, ',' ORDER BY id)) FROM applications a",
    };
    let mut question = format!(
        "SELECT {} AS now, ({applications}) AS applications, \
         (SELECT COUNT(*) FROM (SELECT 1 FROM revocations WHERE applied IS NULL LIMIT 1) AS first) AS revocations, \
         (SELECT MAX(id) FROM revocations) AS revocation, (SELECT MAX(id) FROM closings) AS closing, \
         (SELECT MAX(hash_work) FROM users WHERE hash_work > 0) AS import, \
         (SELECT MIN(expires) FROM outbox WHERE due IS NOT NULL AND expires >= $2) AS expires",
        time.text(1)
    );
    for (channel, parameter) in Channel::ALL.into_iter().zip(3..) {
        let name = channel.as_str();
        let _ = write!(
            question,
            ", (SELECT MIN(due) FROM outbox WHERE channel = '{name}' AND due >= ${parameter}) AS {name}"
        );
    }
    question
}
