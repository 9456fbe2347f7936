//! What a server cannot serve without, and makes by itself.

use portcullis_actors::error::StoreError;
use portcullis_actors::stores::{AccountStore, NewApplication};

/// The application of requests that name none, where nobody has made one.
const NAME: &str = "default";

/// Sees to it that one application is the default: the oldest one, or a new one if there is none.
pub(crate) async fn ensure_default_application(accounts: &dyn AccountStore) -> Result<(), StoreError> {
    if accounts.application(None).await?.is_some() {
        return Ok(());
    }
    if let Some(oldest) = accounts.applications().await?.first() {
        accounts.set_default_application(&oldest.name).await?;
        tracing::info!(app = oldest.name.as_str(), "no application was the default: this one is now");
        return Ok(());
    }
    #[expect(clippy::expect_used, reason = "a constant, which a test parses")]
    let name = NAME.parse().expect("is a name");
    let new = NewApplication { name, brand: "Portcullis".to_owned(), mail_from: None, sms_from: None };
    accounts.create_application(new).await?;
    tracing::info!(app = NAME, "there was no application: this one was made, and is the default");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one() {
        assert!(NAME.parse::<portcullis_actors::domain::AppName>().is_ok());
    }
}
