//! The leader's work for scripts: it calls their hooks, ends deployments of earlier leaders, and removes unused
//! data.

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
