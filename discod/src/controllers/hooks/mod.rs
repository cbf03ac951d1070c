//! What the leader does for scripts: it calls their hooks, ends what an earlier leader began, and removes what is not
//! needed any more.

mod event;
mod garbage;
mod leader;

use crate::node::Leader;
use crate::script::{self, Scripts};

pub(super) async fn run(leader: &Leader, scripts: &Scripts) {
    script::abandon(leader).await;
    tokio::join!(leader::run(leader, scripts), event::run(leader, scripts), garbage::run(leader));
}
