//! Pages of the outbox for operators. Each reads a limited number of entries of an index, whatever is in the table.

use super::listing::select;
use crate::domain::MessageId;
use crate::stores::{Channel, ListedMessage, MessageState, OutboxCursor, OutboxPage, OutboxView};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

/// The number of messages that a page looks at, when no index knows all of its conditions.
const WINDOW: i64 = 10_000;
/// The same for messages that lie far apart in the table: each may be on a page of its own, which is read from the disk.
const SCATTERED: i64 = 1_000;

/// The texts and numbers in statements come from this program.
pub(super) async fn page(
    connection: &mut AnyConnection,
    view: OutboxView,
    channel: Option<Channel>,
    after: Option<OutboxCursor>,
    limit: u32,
) -> sqlx::Result<OutboxPage> {
    let before = after.map_or(i64::MAX, |after| after.id.0);
    let of_channel = channel.map_or(String::new(), |channel| format!(" AND channel = '{}'", channel.as_str()));
    // The conditions that the index on ids or a partial one knows, and the rest.
    let (indexed, others, window) = match view {
        OutboxView::Waiting => return waiting(connection, channel, after, limit).await,
        OutboxView::OfUser(user) => {
            let (one, order) = (limit.saturating_add(1), "ORDER BY id DESC");
            let conditions = format!("user_id = {user} AND id < {before}{of_channel} {order} LIMIT {one}");
            return Ok(ended(select(connection, &conditions).await?, limit, None));
        }
        OutboxView::State(state @ (MessageState::Dead | MessageState::Expired)) => {
            (format!("state = '{}' AND user_id > 0", state.as_str()), of_channel, SCATTERED)
        }
        OutboxView::State(state) => {
            ("id > 0".to_owned(), format!(" AND state = '{}'{of_channel}", state.as_str()), WINDOW)
        }
        OutboxView::All => ("id > 0".to_owned(), of_channel, WINDOW),
    };
    let ids = format!(
        "SELECT COUNT(*) AS looked_at, MIN(id) AS first FROM \
         (SELECT id FROM outbox WHERE {indexed} AND id < {before} ORDER BY id DESC LIMIT {window}) AS window_of_ids"
    );
    let row = sqlx::query(AssertSqlSafe(ids)).persistent(false).fetch_one(&mut *connection).await?;
    let Some(first) = row.try_get::<Option<i64>, _>("first")? else { return Ok(OutboxPage::default()) };
    let full = row.try_get::<i64, _>("looked_at")? == window;
    let conditions = format!(
        "{indexed}{others} AND user_id > 0 AND id BETWEEN {first} AND {} ORDER BY id DESC LIMIT {}",
        before - 1,
        limit.saturating_add(1)
    );
    let rest = full.then_some(OutboxCursor { id: MessageId(first), due: None });
    Ok(ended(select(connection, &conditions).await?, limit, rest))
}

/// The channels apart, since the index begins with the channel.
async fn waiting(
    connection: &mut AnyConnection,
    channel: Option<Channel>,
    after: Option<OutboxCursor>,
    limit: u32,
) -> sqlx::Result<OutboxPage> {
    let mut messages = Vec::new();
    for each in Channel::ALL.into_iter().filter(|each| channel.is_none_or(|channel| channel == *each)) {
        let begin = after.and_then(|OutboxCursor { id, due }| {
            due.map(|due| format!(" AND due >= {due} AND (due, id) > ({due}, {id})", due = due.millis()))
        });
        let begin = begin.unwrap_or_default();
        let conditions = format!(
            "channel = '{}' AND due IS NOT NULL{begin} ORDER BY due, id LIMIT {}",
            each.as_str(),
            limit.saturating_add(1)
        );
        messages.extend(select(connection, &conditions).await?);
    }
    messages.sort_by_key(|message| (message.due, message.id.0));
    Ok(ended(messages, limit, None))
}

/// Cuts what is beyond the page. `rest`: where to go on if nothing is.
fn ended(mut messages: Vec<ListedMessage>, limit: u32, rest: Option<OutboxCursor>) -> OutboxPage {
    let limit = limit as usize;
    if messages.len() <= limit {
        return OutboxPage { messages, next: rest };
    }
    messages.truncate(limit);
    let cursor = |last: &ListedMessage| OutboxCursor { id: last.id, due: last.due };
    let next = messages.last().map(cursor);
    OutboxPage { messages, next }
}
