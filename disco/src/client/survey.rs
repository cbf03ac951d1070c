use disco_proto::v1::{NodeStatus, StatusResponse};
use futures_util::future::join_all;

use super::{Client, Control};
use crate::error::Outcome;

/// The view of a single node.
#[derive(Debug)]
pub(crate) struct OwnView {
    /// The connection to it.
    pub(crate) control: Control,
    /// The address at which it answered.
    pub(crate) at: std::net::SocketAddr,
    /// Its response.
    pub(crate) status: StatusResponse,
}

impl OwnView {
    #[cfg(test)]
    pub(crate) fn new(status: StatusResponse) -> Self {
        let nowhere = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Self { control: Control::new(nowhere), at: std::net::SocketAddr::from(([127, 0, 0, 1], 1)), status }
    }

    /// The node's own entry in its view.
    pub(crate) fn own(&self) -> Option<&NodeStatus> {
        self.status.nodes.iter().find(|node| node.id == self.status.answered_by)
    }

    /// Its current address.
    pub(crate) fn place(&self) -> std::net::SocketAddr {
        let own = self.status.own_address.parse::<std::net::SocketAddr>().ok();
        own.filter(|address| !address.ip().is_unspecified()).unwrap_or(self.at)
    }

    /// Its address in the membership, if it differs from the current one. A version that does not report its own address counts as not
    /// moved.
    pub(crate) fn moved_from(&self) -> Option<&str> {
        let known = self.own().map(|node| node.address.as_str()).filter(|known| !known.is_empty())?;
        let own = &self.status.own_address;
        (!own.is_empty() && own != known).then_some(known)
    }

    /// Its id and name.
    pub(crate) fn name(&self) -> String {
        let id = self.status.answered_by;
        self.own().map_or_else(|| format!("node {id}"), |node| format!("node {id} `{}`", node.name))
    }
}

impl Client {
    /// Ids of the nodes that answer this computer now, each at its own address.
    pub(crate) async fn answering(&self, nodes: impl Iterator<Item = &NodeStatus>) -> Vec<u64> {
        let probes = nodes.map(|node| async {
            let (_, _, status) = self.probe(node.address.parse().ok()?).await.ok()?;
            (status.answered_by == node.id).then_some(node.id)
        });
        join_all(probes).await.into_iter().flatten().collect()
    }

    /// The own view of each node that answers.
    ///
    /// # Errors
    /// No node answers.
    pub(crate) async fn own_views(&self) -> Outcome<Vec<OwnView>> {
        let addresses = self.peers().addresses.clone();
        let answers = join_all(addresses.into_iter().map(|address| self.probe(address))).await;
        let (mut views, mut failures): (Vec<OwnView>, Vec<tonic::Status>) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok((at, control, status)) if views.iter().all(|view| view.status.answered_by != status.answered_by) => {
                    views.push(OwnView { control, at, status });
                }
                // The same node at another of its addresses.
                Ok(_) => {}
                Err(status) => failures.push(status),
            }
        }
        match (views.is_empty(), failures.pop()) {
            (true, Some(status)) => Err(super::from_status(&status)),
            (true, None) => Err(super::from_status(&tonic::Status::unavailable("no node address is known"))),
            (false, _) => Ok(views),
        }
    }
}
