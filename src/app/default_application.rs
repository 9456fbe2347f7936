//! The default application, for requests that name none.

use portcullis_actors::error::StoreError;
use portcullis_actors::stores::{AccountStore, NewApplication};

/// The name of the application that is created if there is none.
const NAME: &str = "default";

/// Makes sure that there is a default application: the existing one, the oldest one, or a new one.
pub(crate) async fn ensure_default_application(accounts: &dyn AccountStore) -> Result<(), StoreError> {
    if accounts.application(None).await?.is_some() {
        return Ok(());
    }
    if let Some(oldest) = accounts.applications().await?.first() {
        accounts.set_default_application(&oldest.name).await?;
        tracing::info!(app = oldest.name.as_str(), "there was no default application, this one is the default now");
        return Ok(());
    }
    #[expect(clippy::expect_used, reason = "a constant, which a test parses")]
    let name = NAME.parse().expect("a valid name");
    let new = NewApplication {
        name,
        brand: "Portcullis".to_owned(),
        mail_from: None,
        sms_from: None,
        colour: None,
        open_url: None,
    };
    accounts.create_application(new).await?;
    tracing::info!(app = NAME, "there was no application, this one was created as the default");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_valid() {
        assert!(NAME.parse::<portcullis_actors::domain::AppName>().is_ok());
    }
}
