use disco_proto::v1::{NodeStatus, StatusResponse};
use futures_util::future::join_all;

use super::{Client, Control};
use crate::error::Outcome;

/// What one node knows by itself.
#[derive(Debug)]
pub(crate) struct OwnView {
    /// The way to it.
    pub(crate) control: Control,
    /// What it says.
    pub(crate) status: StatusResponse,
}

impl OwnView {
    #[cfg(test)]
    pub(crate) fn new(status: StatusResponse) -> Self {
        let nowhere = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Self { control: Control::new(nowhere), status }
    }

    /// The node itself, as it sees itself.
    pub(crate) fn own(&self) -> Option<&NodeStatus> {
        self.status.nodes.iter().find(|node| node.id == self.status.answered_by)
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
                Ok((_, control, status)) if views.iter().all(|view| view.status.answered_by != status.answered_by) => {
                    views.push(OwnView { control, status });
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
