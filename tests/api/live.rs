//! The whole server of the test kit; beside the tests are more methods of it.

use portcullis_testkit::live::Live as Kit;
use std::ops::Deref;

/// A running server.
pub struct Live(Kit);

impl Live {
    pub async fn start() -> Self {
        Self(Kit::start().await)
    }

    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self(Kit::start_with(settings).await)
    }

    pub async fn restart_with(self, settings: &[(&str, &str)]) -> Self {
        Self(self.0.restart_with(settings).await)
    }

    pub async fn stop(self) {
        self.0.stop().await;
    }
}

impl Deref for Live {
    type Target = Kit;

    fn deref(&self) -> &Kit {
        &self.0
    }
}
