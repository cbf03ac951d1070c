//! The result of the `health` hook.

use serde_json::Value as Json;

use crate::{ScriptError, ScriptErrorKind};

/// A node's report about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthVerdict {
    /// Whether it can do its work.
    pub healthy: bool,
    /// Why not, or empty.
    pub reason: String,
}

impl HealthVerdict {
    /// Parses `true`, `false` or `{ healthy, reason }`.
    ///
    /// # Errors
    /// `Load` for anything else: a hook that forgets to return is not a healthy node.
    pub fn from_result(result: Option<&Json>) -> Result<Self, ScriptError> {
        match result {
            Some(Json::Bool(healthy)) => Ok(Self { healthy: *healthy, reason: String::new() }),
            Some(Json::Object(object)) if object.get("healthy").is_some_and(Json::is_boolean) => Ok(Self {
                healthy: object.get("healthy").and_then(Json::as_bool).unwrap_or(false),
                reason: object.get("reason").and_then(Json::as_str).unwrap_or_default().to_owned(),
            }),
            other => Err(ScriptError::new(
                ScriptErrorKind::Load,
                format!(
                    "`health` must return true, false or {{ healthy, reason }}, not {}",
                    other.map_or_else(|| "undefined".to_owned(), Json::to_string)
                ),
            )),
        }
    }
}
