//! Announcements that a machine will be taken away.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::ProviderError;

/// A source of announcements about the machine that this process runs on.
#[async_trait]
pub trait Announcements: Debug + Send {
    /// Why and when the machine will be taken away, as text; `None` if nothing is announced.
    async fn read(&mut self) -> Result<Option<String>, ProviderError>;

    /// How long to wait before the next poll.
    fn pause(&self) -> Duration;
}
