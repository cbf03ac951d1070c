//! What the leader does for scripts: it calls their hooks, ends what an earlier leader began, and removes what is not
//! needed any more.

mod event;
mod garbage;
mod leader;

use crate::node::Leader;
use crate::script;

pub(super) async fn run(leader: &Leader) {
    script::abandon(leader).await;
    tokio::join!(leader::run(leader), event::run(leader), garbage::run(leader));
}
