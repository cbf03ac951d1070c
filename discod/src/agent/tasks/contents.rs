//! The contents of programs' files, as this cluster has them.

use async_trait::async_trait;

use super::process::Contents;
use crate::cluster::artifacts;
use crate::local::artifacts::{Content, NotFetched};
use crate::node::Node;

/// On the other nodes, or in the store.
pub(super) struct ClusterContents(pub(super) Node);

#[async_trait]
impl Contents for ClusterContents {
    async fn obtain(&self, content: &Content, received: &(dyn Fn(u64) + Send + Sync)) -> Result<(), NotFetched> {
        artifacts::ensure(&self.0, content, received).await
    }
}
