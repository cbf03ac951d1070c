//! What `ask` needs from its host.

use async_trait::async_trait;
use serde_json::Value as Json;

use crate::HostError;

/// Asks the operator who runs the command.
#[async_trait]
pub trait Prompt: Send + Sync {
    /// Without a `default` it is a yes-or-no question and the answer a boolean. With a boolean default likewise, and
    /// with a string or number the answer is of that type. Without a terminal: an error with code `NO_TERMINAL`.
    async fn ask(&self, question: &str, default: Option<Json>) -> Result<Json, HostError>;
}
