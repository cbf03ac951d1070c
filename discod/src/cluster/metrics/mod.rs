//! What a node measures: computed when it is requested, so that it costs nothing in between.
//!
//! Names follow Prometheus' conventions, and labels have few values: stacks, services and indexes of tasks on this node,
//! never ids, which are new with each task. Tasks of one service and index, the old and the new one of an update, are one
//! series.

mod families;
mod text;
mod usage;

use disco_proto::v1::UsageResponse;

use super::{Error, Result};
use crate::node::Node;

/// The type of [`text()`], by its standard name.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What this node and its tasks use now.
///
/// # Errors
/// `/proc` cannot be read.
pub async fn usage(node: &Node) -> Result<UsageResponse> {
    let node = node.clone();
    let measured = tokio::task::spawn_blocking(move || usage::measure(&node)).await;
    measured.map_err(Error::internal)?.map_err(Error::internal)
}

/// This node's metrics in Prometheus' text format.
///
/// # Errors
/// `/proc` cannot be read.
pub async fn text(node: &Node) -> Result<String> {
    let usage = usage(node).await?;
    let node = node.clone();
    tokio::task::spawn_blocking(move || families::text(&node, &usage)).await.map_err(Error::internal)
}
