//! What the leader does for scripts: it calls their hooks, ends what an earlier leader began, and removes what is not
//! needed any more.

mod event;
mod garbage;
mod leader;

use crate::node::Node;
use crate::script;

pub(super) async fn run(node: &Node, term: u64) {
    script::abandon(node, term).await;
    tokio::join!(leader::run(node), event::run(node, term), garbage::run(node, term));
}
