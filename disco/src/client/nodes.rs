use disco_proto::v1::NodeStatus;

use super::Client;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
};

impl Client {
    /// The node with this id or name.
    pub(crate) async fn node(&self, named: &str) -> Outcome<NodeStatus> {
        let status = self.status(false).await?;
        let id = named.parse::<u64>().ok();
        let found = status.nodes.iter().find(|node| node.name == named || Some(node.id) == id);
        found.cloned().ok_or_else(|| {
            let names: Vec<String> = status.nodes.iter().map(|node| format!("`{}`", node.name)).collect();
            Failure::new(ExitStatus::NotFound, format!("no node `{named}` in `{}`", status.cluster))
                .hint(format!("the nodes are {}", names.join(", ")))
        })
    }
}
