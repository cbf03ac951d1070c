//! Passes openraft's metrics on to the parts of the daemon that need them.
//!
//! Never from the channel of all metrics, which is written at every tick, up to twenty-five times a second: a task that waits there
//! wakes as often.

use openraft::ServerState;
use openraft::async_runtime::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use super::heard::Heard;
use super::node::{Leadership, OpenRaft};
use super::platform::{Platform, Transport};

/// Updates the connections' addresses whenever the membership changes.
pub(super) fn addresses<P: Platform>(raft: &OpenRaft<P>, transport: P::Transport) {
    let mut metrics = raft.server_metrics();
    drop(P::Runtime::spawn(async move {
        let mut seen = None;
        loop {
            let membership = metrics.borrow_watched().membership_config.clone();
            if seen.as_ref() != Some(membership.log_id()) {
                for (id, node) in membership.nodes() {
                    transport.set_address(*id, &node.address);
                }
                seen = Some(*membership.log_id());
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }));
}

/// Follows openraft's metrics and reports only changes of leadership. An election of this node counts as heard from it.
pub(super) fn leadership<P: Platform>(raft: &OpenRaft<P>, id: u64, heard: Heard) -> watch::Receiver<Leadership> {
    let mut metrics = raft.server_metrics();
    let (sender, receiver) = watch::channel(Leadership::default());
    drop(P::Runtime::spawn(async move {
        loop {
            let now = {
                let metrics = metrics.borrow_watched();
                let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(id);
                Leadership {
                    term: metrics.vote.leader_id.term,
                    leader: metrics.current_leader,
                    // Only the durable vote counts: before that, the term may be an earlier one.
                    is_self: leads && metrics.vote.committed && metrics.vote.leader_id.node_id == id,
                }
            };
            sender.send_if_modified(|last| follow(last, now, id, &heard));
            tokio::select! {
                biased;
                () = sender.closed() => return,
                changed = metrics.changed() => if changed.is_err() { return },
            }
        }
    }));
    receiver
}

/// Stores the leadership if it has changed, and returns whether it has.
fn follow(last: &mut Leadership, now: Leadership, id: u64, heard: &Heard) -> bool {
    let changed = *last != now;
    if changed && now.is_self {
        heard.note(id);
    }
    *last = now;
    changed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_elected_node_has_a_leader_before_the_first_answer() {
        let (heard, limit) = (Heard::default(), Duration::from_secs(3));
        let (mut last, elected) = (Leadership::default(), Leadership { term: 2, leader: Some(1), is_self: true });
        let other = Leadership { term: 1, leader: Some(2), is_self: false };
        assert!(follow(&mut last, other, 1, &heard) && !heard.within(1, limit) && !heard.within(2, limit));
        assert!(follow(&mut last, elected.clone(), 1, &heard) && heard.within(1, limit));
        tokio::time::advance(limit * 2).await;
        assert!(!follow(&mut last, elected, 1, &heard) && !heard.within(1, limit), "one election is one sign");
    }
}
