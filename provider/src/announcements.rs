//! What a machine is told about its own end.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::ProviderError;

/// A source of announcements about the machine that this process runs on.
#[async_trait]
pub trait Announcements: Debug + Send {
    /// Why and when the machine will be taken away, in words; none where nothing is announced now.
    async fn read(&mut self) -> Result<Option<String>, ProviderError>;

    /// How long to wait before asking again.
    fn pause(&self) -> Duration;
}
