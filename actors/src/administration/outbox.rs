//! The outbox: pages of messages, one message with its tries, another try.

use super::messages::{ListMessages, MessageDetails, RetryMessage, ShowMessage};
use super::{AdministrationActor, AdministrationPorts};
use crate::error::ErrorKind;
use crate::flows::answers;
use crate::notifier::Wake;
use crate::stores::{OutboxFilter, OutboxPage};

answers!(AdministrationActor: ListMessages => list, ShowMessage => show, RetryMessage => retry);

/// Messages of one page.
pub(super) const PAGE: u32 = 50;

pub(super) async fn list(ports: &AdministrationPorts, request: ListMessages) -> Result<OutboxPage, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    Ok(ports.outbox.browse(request.view, request.channel, request.after, PAGE).await?)
}

pub(super) async fn show(ports: &AdministrationPorts, request: ShowMessage) -> Result<MessageDetails, ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    let filter = OutboxFilter { id: Some(request.id), limit: 1, ..OutboxFilter::default() };
    let message = ports.outbox.list(&filter).await?.pop().ok_or(ErrorKind::NotFound)?;
    Ok(MessageDetails { attempts: ports.outbox.attempts(message.id).await?, message })
}

pub(super) async fn retry(ports: &AdministrationPorts, request: RetryMessage) -> Result<(), ErrorKind> {
    ports.auth.administrator(&request.credential).await?;
    if !ports.outbox.retry(request.id).await? {
        return Err(ErrorKind::NotFound);
    }
    ports.notifier.do_send(Wake);
    Ok(())
}
