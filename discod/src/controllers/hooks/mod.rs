//! What the leader does for scripts: it calls their hooks, ends what an earlier leader began, and removes what is not
//! needed any more.

mod event;
mod garbage;
mod leader;

use event::EventHook;
use garbage::Garbage;
use leader::LeaderHook;

use super::driver::drive;
use crate::node::Leader;
use crate::script::{self, Scripts};

pub(super) async fn run(leader: &Leader, scripts: &Scripts) {
    script::abandon(leader).await;
    tokio::join!(
        drive(leader, LeaderHook::new(leader, scripts)),
        drive(leader, EventHook::new(leader, scripts)),
        drive(leader, Garbage),
    );
}
