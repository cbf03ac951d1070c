//! A content that a client sends.

use bytes::Bytes;

use super::{blocking, fetch, space};
use crate::cluster::{Error, Result};
use crate::local::artifacts::{Content, NotReceived, Receipt};
use crate::node::Node;

/// A content that is received in parts.
pub struct Upload {
    content: Content,
    /// Absent if this node has the content already.
    receipt: Option<Receipt>,
}

// === impl Upload ===

impl Upload {
    /// Prepares to receive a content.
    ///
    /// # Errors
    /// There is no space for it, or the disk fails.
    pub async fn begin(node: &Node, content: Content) -> Result<Self> {
        let (artifacts, own) = (node.artifacts().clone(), content.clone());
        if blocking(move || artifacts.has(&own)).await.map_err(error)? {
            return Ok(Self { content, receipt: None });
        }
        space::require(node, content.size).await.map_err(Error::Exhausted)?;
        let (artifacts, own) = (node.artifacts().clone(), content.clone());
        let receipt = blocking(move || artifacts.receive(&own)).await.map_err(error)?;
        Ok(Self { content, receipt: Some(receipt) })
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Bytes that need not be sent any more.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.receipt.as_ref().map_or(self.content.size, Receipt::received)
    }

    /// Whether all bytes are here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.received() == self.content.size
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// They are more than announced, or the disk fails.
    pub async fn write(self, data: Bytes) -> Result<Self> {
        let Some(receipt) = self.receipt else { return Ok(self) };
        let receipt = fetch::write(receipt, data).await.map_err(error)?;
        Ok(Self { content: self.content, receipt: Some(receipt) })
    }

    /// Stores the content on this node's disk.
    ///
    /// # Errors
    /// It is another content than announced, or the disk fails.
    pub async fn finish(self) -> Result<Content> {
        if let Some(receipt) = self.receipt {
            fetch::finish(receipt).await.map_err(|failure| match failure {
                NotReceived::Wrong(why) => Error::Invalid(why),
                NotReceived::Io(failure) => error(failure),
            })?;
        }
        Ok(self.content)
    }
}

fn error(error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidData => Error::Invalid(error.to_string()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Exhausted(error.to_string()),
        _ => Error::internal(error),
    }
}
