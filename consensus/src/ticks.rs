//! Rests openraft's clock while it has nothing to measure.
//!
//! openraft checks its timers five times per heartbeat, twenty-five times a second at pace `fast`, on every node. Only the
//! leader, which sends the heartbeats, and a node that no longer hears from a leader, which may have to stand for election,
//! have a timer that can be due; a node without a vote has none. A follower hears a heartbeat long before, so its clock
//! rests until the leader's lease would have ended. No election comes later than without this, as openraft waits for a
//! further random time, and the clock continues on the same grid; except by up to one election timeout after a transfer of
//! leadership that failed, for which openraft ends the lease.

use disco_planner::Pace;
use std::future::pending;
use std::time::Duration;

use openraft::async_runtime::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::sleep;

use super::heard::Heard;
use super::node::OpenRaft;
use super::platform::Platform;

/// Rests and resumes the clock until Raft ends.
pub(super) fn spawn<P: Platform>(raft: &OpenRaft<P>, id: u64, pace: Pace, heard: Heard) {
    let (raft, mut changes) = (raft.clone(), raft.server_metrics());
    drop(P::Runtime::spawn(async move {
        loop {
            let leader = changes.borrow_watched().current_leader;
            let age = leader.filter(|leader| *leader != id).and_then(|leader| heard.age(leader));
            // A leader may have lost its vote, and leads until that is committed.
            let may_act = leader == Some(id) || votes::<P>(&raft, id);
            let rest = if may_act { rest(age, pace) } else { Some(pace.lease()) };
            raft.runtime_config().tick(rest.is_none());
            // A leader's clock goes on until it leads no longer.
            let look = async {
                match leader == Some(id) {
                    true => pending().await,
                    false => sleep(rest.unwrap_or(pace.heartbeat())).await,
                }
            };
            let ended = tokio::select! {
                biased;
                changed = changes.changed() => changed.is_err(),
                () = look => false,
            };
            if ended {
                return;
            }
        }
    }));
}

/// Whether this node votes in the newest membership or in the committed one, which is openraft's condition for an election.
/// True if no membership is known yet.
fn votes<P: Platform>(raft: &OpenRaft<P>, id: u64) -> bool {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let memberships = [&metrics.membership_config, &metrics.committed_membership_config];
    let mut voters = memberships.iter().flat_map(|stored| stored.membership().voter_ids()).peekable();
    voters.peek().is_none() || voters.any(|voter| voter == id)
}

/// How long the clock may rest, `age` after the leader's last message. `None`: not at all.
fn rest(age: Option<Duration>, pace: Pace) -> Option<Duration> {
    pace.lease().checked_sub(age?).filter(|rest| !rest.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_rests_until_the_leaders_lease_would_end() {
        for pace in Pace::ALL {
            let config = crate::pace::config(pace);
            let lease = Duration::from_millis(config.election_timeout_max);
            // openraft's lease is its longest election timeout, and no election is due before the shortest one after it.
            assert_eq!(rest(Some(Duration::ZERO), pace), Some(lease), "{pace:?}");
            assert_eq!(rest(Some(lease), pace), None, "{pace:?}");
            assert_eq!(rest(Some(lease * 2), pace), None, "{pace:?}");
            assert_eq!(rest(None, pace), None, "{pace:?}: neither a leader nor a node without one rests");
            // The next heartbeat arrives before, even if one is lost.
            assert!(pace.heartbeat() * 2 <= lease, "{pace:?}");
        }
    }
}
