//! `disco recover --addresses`: all nodes have new addresses at once, and receive each other's.
//!
//! No node is given up, and no node decides alone: the addresses are only hints where to connect, and the peer there proves its
//! identity by its certificate, as always.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use disco_proto::v1::{NodeStatus, RelocateRequest};
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    client::{Client, OwnView, from_status},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    view::{Done, would},
};

/// Time for the nodes to find each other and elect a leader.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the nodes are.
#[derive(Debug)]
struct Places {
    /// Current addresses of the nodes that answer, by id.
    now: BTreeMap<u64, SocketAddr>,
    /// Those of them with another address in the membership, with that address.
    moved: BTreeMap<u64, String>,
    /// Nodes that do not answer at any known address.
    missing: Vec<NodeStatus>,
    voters: usize,
    voters_found: usize,
}

pub(super) async fn run(context: &Context, client: &Client, views: &[OwnView], dry_run: bool) -> Outcome<ExitStatus> {
    let printer = &context.printer;
    let places = places(views);
    for view in views {
        let place = view.place();
        printer.always(&match view.moved_from() {
            Some(before) => format!("{} is at {place}, but the membership has {before}", view.name()),
            None => format!("{} is at {place}, as in the membership", view.name()),
        });
    }
    for node in &places.missing {
        printer.always(&format!("node {} `{}` does not answer at any known address", node.id, node.name));
    }
    if places.moved.is_empty() {
        return Err(Failure::new(ExitStatus::Guarded, "all nodes that answer are at the addresses in the membership")
            .hint("`disco status` shows the nodes; pass the new addresses of the others to `--addresses`"));
    }
    if places.voters_found * 2 <= places.voters {
        return Err(Failure::new(
            ExitStatus::Guarded,
            format!("{} of {} voters answer: no quorum", places.voters_found, places.voters),
        )
        .hint("pass the addresses of all live nodes: `disco recover --addresses A:5080,B:5080,…`"));
    }
    if dry_run {
        return would(context, vec!["send each node the others' addresses; no node is given up".to_owned()]);
    }
    let addresses = places.now.iter().map(|(id, address)| (*id, address.to_string())).collect();
    let request = RelocateRequest { addresses };
    let sent = join_all(views.iter().map(|view| {
        let (mut control, request) = (view.control.clone(), request.clone());
        async move { control.relocate(request).await.map_err(|status| (view.name(), from_status(&status))) }
    }));
    for (name, failure) in sent.await.into_iter().filter_map(Result::err) {
        printer.warn(&format!("cannot send the addresses to {name}: {failure}"));
    }
    client.drop_connection();
    let task = printer.task(&views[0].status.cluster);
    task.state("waiting until the nodes find each other");
    let status = client.with_patience(PATIENCE).settled().await?;
    task.done(&format!("node {} leads", status.leader));
    printer.note("the cluster has a quorum again, with all its data; the leader records the new addresses");
    Done::new(json!({ "leader": status.leader, "revision": status.revision, "given_up": [] })).show(context)
}

fn places(views: &[OwnView]) -> Places {
    let now: BTreeMap<u64, SocketAddr> = views.iter().map(|view| (view.status.answered_by, view.place())).collect();
    let moved = views.iter().filter_map(|view| Some((view.status.answered_by, view.moved_from()?.to_owned())));
    // The node with the most recent log has the most recent membership.
    let newest = views.iter().max_by_key(|view| (view.status.log_term, view.status.log_index));
    let nodes: &[NodeStatus] = newest.map_or(&[], |view| &view.status.nodes);
    let voters: BTreeSet<u64> = nodes.iter().filter(|node| node.role != "learner").map(|node| node.id).collect();
    Places {
        moved: moved.collect(),
        missing: nodes.iter().filter(|node| !now.contains_key(&node.id)).cloned().collect(),
        voters: voters.len(),
        voters_found: voters.iter().filter(|id| now.contains_key(id)).count(),
        now,
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::StatusResponse;

    use super::*;

    fn view(id: u64, own: &str) -> OwnView {
        let nodes = (1..=3).map(|id| NodeStatus {
            id,
            role: "voter".to_owned(),
            address: format!("10.0.0.{id}:5080"),
            ..NodeStatus::default()
        });
        let nodes = nodes.collect();
        OwnView::new(StatusResponse {
            answered_by: id,
            own_address: own.to_owned(),
            nodes,
            ..StatusResponse::default()
        })
    }

    #[tokio::test]
    async fn a_node_has_moved_if_its_own_address_differs_from_the_membership() {
        let views = [view(1, "10.1.0.1:5080"), view(2, "10.0.0.2:5080")];
        let places = places(&views);
        assert_eq!(places.moved, BTreeMap::from([(1, "10.0.0.1:5080".to_owned())]));
        assert_eq!(places.now[&1], "10.1.0.1:5080".parse().unwrap());
        assert_eq!(places.missing.iter().map(|node| node.id).collect::<Vec<_>>(), [3]);
        assert_eq!((places.voters, places.voters_found), (3, 2));
        // A node that listens on the wildcard address is at the address that was called.
        assert_eq!(view(3, "0.0.0.0:5080").place(), "127.0.0.1:1".parse().unwrap());
        // A node of an earlier version does not report its own address.
        assert_eq!(view(3, "").moved_from(), None);
    }
}
