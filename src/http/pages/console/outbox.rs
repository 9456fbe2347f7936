//! `/admin/outbox`: messages by state, one message with every try, another try, and the providers.

use super::rows::{Badge, MessageRow, readable};
use super::{Section, Visit, enter, frame, number};
use crate::http::dispatch::Weight;
use crate::http::extract::Call;
use crate::http::pages::visitor::{inside, see_other};
use crate::http::pages::{Frame, Side};
use crate::http::route::Answer;
use crate::http::state::AppState;
use askama::Template;
use portcullis_actors::administration::{ListMessages, MessageDetails, RetryMessage, ShowMessage};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::MessageId;
use portcullis_actors::notifier::{BreakerState, ProviderSnapshot};
use portcullis_actors::stores::{Attempt, Channel, MessageState, OutboxCursor, OutboxView};

/// The tabs: the value of `show`, the word, and what it shows.
const VIEWS: [(&str, &str, OutboxView); 5] = [
    ("all", "All", OutboxView::All),
    ("waiting", "Waiting", OutboxView::Waiting),
    ("delivered", "Delivered", OutboxView::State(MessageState::Delivered)),
    ("dead", "Dead", OutboxView::State(MessageState::Dead)),
    ("expired", "Expired", OutboxView::State(MessageState::Expired)),
];

#[derive(Template)]
#[template(path = "console/outbox.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    tabs: Vec<Tab>,
    channels: Vec<Tab>,
    waiting: bool,
    messages: Vec<MessageRow>,
    first: String,
    next: String,
    providers: Vec<ProviderRow>,
}

struct Tab {
    href: String,
    label: &'static str,
    current: bool,
}

struct ProviderRow {
    name: String,
    channel: &'static str,
    breaker: Badge,
    ends: String,
}

/// `GET /admin/outbox` with `show` (all, waiting, delivered, dead, expired), `channel` (mail, sms) and `after`, what the
/// page before this one ended with.
pub async fn list(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, _, incoming| {
        let fields = incoming.form(&["show", "channel", "after"])?;
        let (name, _, view) =
            VIEWS.into_iter().find(|(name, ..)| fields.text("show") == Some(*name)).unwrap_or(VIEWS[0]);
        let channel = fields.text("channel").and_then(|text| text.parse::<Channel>().ok());
        let after = fields.text("after").and_then(cursor);
        let ask = ListMessages { credential: visit.credential.clone(), view, channel, after };
        let page = state.dispatcher.ask(Weight::Ordinary, &state.ports.list_messages, ask).await?;
        let tab = |(value, label, _): (&'static str, &'static str, OutboxView)| Tab {
            href: address(value, channel, None),
            label,
            current: value == name,
        };
        let of_channel = |label, of| Tab { href: address(name, of, None), label, current: of == channel };
        Ok(inside(&Page {
            frame: frame("Outbox"),
            side: visit.side(Section::Outbox),
            tabs: VIEWS.into_iter().map(tab).collect(),
            channels: vec![
                of_channel("Mail and SMS", None),
                of_channel("Mail", Some(Channel::Mail)),
                of_channel("SMS", Some(Channel::Sms)),
            ],
            waiting: view == OutboxView::Waiting,
            messages: page.messages.iter().map(MessageRow::from).collect(),
            first: if after.is_some() { address(name, channel, None) } else { String::new() },
            next: page.next.map(|next| address(name, channel, Some(next))).unwrap_or_default(),
            providers: state.instruments.pulse().await.providers.iter().map(provider).collect(),
        }))
    })
    .await
}

/// The address of a page.
fn address(view: &str, channel: Option<Channel>, after: Option<OutboxCursor>) -> String {
    let channel = channel.map(|channel| format!("&channel={}", channel.as_str())).unwrap_or_default();
    let after = after.map(|OutboxCursor { id, due }| match due {
        Some(due) => format!("&after={id}.{}", due.millis()),
        None => format!("&after={id}"),
    });
    format!("/admin/outbox?show={view}{channel}{}", after.unwrap_or_default())
}

/// The `after` of [`address`].
fn cursor(text: &str) -> Option<OutboxCursor> {
    let (id, due) = text.split_once('.').map_or((text, None), |(id, due)| (id, Some(due)));
    let due = due.map(|due| due.parse().map(Timestamp::from_millis)).transpose().ok()?;
    Some(OutboxCursor { id: MessageId(id.parse().ok()?), due })
}

fn provider(provider: &ProviderSnapshot) -> ProviderRow {
    let breaker = match provider.breaker {
        BreakerState::Closed => Badge { kind: "ok", word: "in use" },
        BreakerState::HalfOpen => Badge { kind: "warn", word: "on trial" },
        BreakerState::Open => Badge { kind: "bad", word: "resting after failures" },
    };
    let word = |end| if end == "retry" { "to be tried again" } else { end };
    let ends: Vec<_> = provider.ends.iter().map(|(end, count)| format!("{count} {}", word(*end))).collect();
    ProviderRow { name: provider.name.clone(), channel: provider.channel.as_str(), breaker, ends: ends.join(", ") }
}

#[derive(Template)]
#[template(path = "console/message.html", config = "src/http/pages/askama.toml")]
struct MessagePage<'a> {
    frame: Frame<'a>,
    side: Side<'a>,
    message: MessageRow,
    queued_again: bool,
    attempts: Vec<AttemptRow>,
}

struct AttemptRow {
    at: String,
    provider: String,
    outcome: String,
    took: String,
    detail: String,
    reference: String,
}

/// `GET /admin/outbox/:message_id`
pub async fn show(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, incoming| {
        let id = MessageId(number(call)?);
        let queued_again = incoming.form(&["done"])?.text("done") == Some("retry");
        let ask = ShowMessage { credential: visit.credential.clone(), id };
        let found = state.dispatcher.ask(Weight::Ordinary, &state.ports.show_message, ask).await?;
        let MessageDetails { message, attempts } = found;
        let title = format!("Message {id}");
        Ok(inside(&MessagePage {
            frame: frame(&title),
            side: visit.side(Section::Outbox),
            message: (&message).into(),
            queued_again,
            attempts: attempts.iter().map(attempt).collect(),
        }))
    })
    .await
}

fn attempt(attempt: &Attempt) -> AttemptRow {
    AttemptRow {
        at: readable(attempt.at),
        provider: attempt.provider.clone(),
        outcome: attempt.outcome.replace('_', " "),
        took: format!("{} ms", attempt.millis),
        detail: attempt.detail.clone().unwrap_or_default(),
        reference: attempt.reference.clone().unwrap_or_default(),
    }
}

/// `POST /admin/outbox/:message_id/retry`: a dead message is queued again.
pub async fn retry(state: &AppState, call: Call<'_>) -> Answer {
    enter(state, call, async |visit: Visit, call, _| {
        let id = MessageId(number(call)?);
        let ask = RetryMessage { credential: visit.credential.clone(), id };
        state.dispatcher.ask(Weight::Ordinary, &state.ports.retry_message, ask).await?;
        Ok(see_other(&format!("/admin/outbox/{id}?done=retry")))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_page_is_the_beginning_of_the_next() {
        let ends = [
            OutboxCursor { id: MessageId(7), due: None },
            OutboxCursor { id: MessageId(7), due: Some(Timestamp::from_millis(1_788_404_046_123)) },
        ];
        for end in ends {
            let address = address("waiting", Some(Channel::Sms), Some(end));
            let (before, after) = address.split_once("&after=").expect("it is there");
            assert_eq!((before, cursor(after)), ("/admin/outbox?show=waiting&channel=sms", Some(end)));
        }
        for text in ["", "x", "1.x", "1.", ".1", "1.2.3"] {
            assert_eq!(cursor(text), None, "{text}");
        }
    }
}
