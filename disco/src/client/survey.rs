use disco_proto::v1::{NodeStatus, StatusResponse};
use futures_util::future::join_all;

use super::{Client, Control};
use crate::error::Outcome;

/// What one node knows by itself.
#[derive(Debug)]
pub(crate) struct OwnView {
    /// The way to it.
    pub(crate) control: Control,
    /// Where it was asked.
    pub(crate) at: std::net::SocketAddr,
    /// What it says.
    pub(crate) status: StatusResponse,
}

impl OwnView {
    #[cfg(test)]
    pub(crate) fn new(status: StatusResponse) -> Self {
        let nowhere = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Self { control: Control::new(nowhere), at: std::net::SocketAddr::from(([127, 0, 0, 1], 1)), status }
    }

    /// The node itself, as it sees itself.
    pub(crate) fn own(&self) -> Option<&NodeStatus> {
        self.status.nodes.iter().find(|node| node.id == self.status.answered_by)
    }

    /// Where other nodes reach it now.
    pub(crate) fn place(&self) -> std::net::SocketAddr {
        let own = self.status.own_address.parse::<std::net::SocketAddr>().ok();
        own.filter(|address| !address.ip().is_unspecified()).unwrap_or(self.at)
    }

    /// Where the cluster looks for it, where that is another place. A version that does not say where it is, is where it was asked.
    pub(crate) fn moved_from(&self) -> Option<&str> {
        let known = self.own().map(|node| node.address.as_str()).filter(|known| !known.is_empty())?;
        let own = &self.status.own_address;
        (!own.is_empty() && own != known).then_some(known)
    }

    /// How to call it.
    pub(crate) fn name(&self) -> String {
        let id = self.status.answered_by;
        self.own().map_or_else(|| format!("node {id}"), |node| format!("node {id} `{}`", node.name))
    }
}

impl Client {
    /// What each node that answers knows by itself.
    ///
    /// # Errors
    /// None answers.
    pub(crate) async fn own_views(&self) -> Outcome<Vec<OwnView>> {
        let addresses = self.peers().addresses.clone();
        let answers = join_all(addresses.into_iter().map(|address| self.ask(address))).await;
        let (mut views, mut failures): (Vec<OwnView>, Vec<tonic::Status>) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok((at, control, status)) if views.iter().all(|view| view.status.answered_by != status.answered_by) => {
                    views.push(OwnView { control, at, status });
                }
                // By another of its addresses.
                Ok(_) => {}
                Err(status) => failures.push(status),
            }
        }
        match (views.is_empty(), failures.pop()) {
            (true, Some(status)) => Err(super::from_status(&status)),
            (true, None) => Err(super::from_status(&tonic::Status::unavailable("no node's address is known"))),
            (false, _) => Ok(views),
        }
    }
}
