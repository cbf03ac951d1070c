//! Records events about daemons that ended unexpectedly: each of the first ends, then a loop of ends, and finally that the daemon
//! keeps running.
//!
//! The count of recorded ends is in the store, so that the next leader does not record them again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;

use super::driver::{Controller, Outcome, Pause, Schedule};
use crate::ends::Ended;
use crate::node::Leader;
use crate::records::{self, EndsRecord, Severity, Txn};

/// Pause after an event that could not be recorded.
const PAUSE: Pause = Pause::always(Duration::from_secs(10));

/// The leader's knowledge about a node's daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    count: u64,
    is_loop: bool,
    is_over: bool,
}

/// A change to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// This number of further ends.
    Ended { more: u64, is_loop: bool },
    /// It keeps running; this number of ends was not recorded one by one.
    KeepsRunning { more: u64 },
    /// The node was installed anew, and its daemon has not ended since.
    Fresh,
}

/// Records unexpected ends of daemons as events.
pub(super) struct Ends;

// === impl Ends ===

impl Controller for Ends {
    const NAME: &'static str = "ends";

    fn schedule(&self, leader: &Leader) -> Schedule {
        let period = leader.raft().pace().suspect_after() / 2;
        Schedule { period, on_wake_up: false, on_revision: None, pause: Some(PAUSE) }
    }

    async fn pass(&mut self, leader: &Leader) -> anyhow::Result<Outcome> {
        check(leader).await.map_err(|why| anyhow!("recording that a daemon has ended: {why}"))?;
        Ok(Outcome::Settled)
    }
}

async fn check(leader: &Leader) -> Result<(), String> {
    let recorded = leader.raft().store().read(records::told_ends);
    let members = leader.raft().members();
    for member in &members {
        let Some(ended) = leader.reports().ended(member.id) else { continue };
        let before = recorded.get(&member.id).copied().unwrap_or_default();
        let now = Instant::now();
        let known = Known { count: ended.count(), is_loop: ended.is_loop(now), is_over: ended.is_over(now) };
        if let Some((news, after)) = news(before, known) {
            record(leader, (member.id, &member.info.name), &ended, news, after).await?;
        }
    }
    for id in gone(&recorded, |id| members.iter().any(|member| member.id == id)) {
        let forget = Txn::new().delete(&records::keys::ends(id));
        leader.write_in_term(forget.operation()).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The change that is not recorded yet, and the record after it.
fn news(recorded: EndsRecord, known: Known) -> Option<(News, EndsRecord)> {
    let Known { count, is_loop, is_over } = known;
    // A count below the recorded one has started anew.
    let more = if count < recorded.count { count } else { count - recorded.count };
    if recorded.is_loop {
        // The event of the loop covers further ends.
        return is_over.then_some((News::KeepsRunning { more }, EndsRecord { count, is_loop: false }));
    }
    match more {
        0 if count < recorded.count => Some((News::Fresh, EndsRecord { count, is_loop: false })),
        0 => None,
        more => Some((News::Ended { more, is_loop }, EndsRecord { count, is_loop })),
    }
}

/// Nodes with a record that are no longer members.
fn gone(recorded: &BTreeMap<u64, EndsRecord>, is_member: impl Fn(u64) -> bool) -> Vec<u64> {
    recorded.keys().copied().filter(|id| !is_member(*id)).collect()
}

/// Writes the event and its marker in one transaction.
async fn record(
    leader: &Leader,
    (id, name): (u64, &str),
    ended: &Ended,
    news: News,
    after: EndsRecord,
) -> Result<(), String> {
    let cause = ended.cause();
    let (kind, severity, text) = match news {
        News::Fresh => {
            let txn = Txn::new().put(&records::keys::ends(id), &after);
            leader.write_in_term(txn.operation()).await.map_err(|error| error.to_string())?;
            return Ok(());
        }
        News::Ended { more, is_loop } => {
            let further = if is_loop { "; it ends repeatedly, and further ends are not reported" } else { "" };
            let text = match more {
                1 => format!("the daemon of {name} ended unexpectedly: {cause}{further}"),
                more => {
                    format!("the daemon of {name} ended unexpectedly {more} times, the last time by {cause}{further}")
                }
            };
            ("node.crashed", Severity::Warning, text)
        }
        News::KeepsRunning { more: 0 } => {
            ("node.restarted", Severity::Info, format!("the daemon of {name} keeps running"))
        }
        News::KeepsRunning { more } => {
            let text =
                format!("the daemon of {name} keeps running; it had ended {more} more times, the last time by {cause}");
            ("node.restarted", Severity::Info, text)
        }
    };
    let event = records::event(kind, severity, Some(id), text);
    records::record_along(leader, leader.term(), &event, Txn::new().put(&records::keys::ends(id), &after)).await?;
    records::log_event(&event);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(count: u64, is_loop: bool, is_over: bool) -> Known {
        Known { count, is_loop, is_over }
    }

    #[test]
    fn a_loop_is_recorded_once_and_its_end_once() {
        let mut recorded = EndsRecord::default();
        let mut changes = Vec::new();
        // Three separate ends, forty that are a loop, two minutes without one, one more end.
        let course = [known(1, false, false), known(2, false, false), known(2, false, false)]
            .into_iter()
            .chain((3..43).map(|count| known(count, true, false)))
            .chain([known(43, true, false), known(43, false, false), known(43, false, true), known(43, false, true)])
            .chain([known(44, false, false)]);
        for now in course {
            if let Some((news, after)) = news(recorded, now) {
                changes.push(news);
                recorded = after;
            }
        }
        let ended = |is_loop| News::Ended { more: 1, is_loop };
        assert_eq!(changes, [ended(false), ended(false), ended(true), News::KeepsRunning { more: 40 }, ended(false)]);
    }

    #[test]
    fn the_count_of_a_reinstalled_node_starts_anew() {
        let recorded = EndsRecord { count: 9, is_loop: false };
        assert_eq!(news(recorded, known(0, false, true)), Some((News::Fresh, EndsRecord::default())));
        let two = EndsRecord { count: 2, is_loop: false };
        assert_eq!(news(recorded, known(2, false, false)), Some((News::Ended { more: 2, is_loop: false }, two)));
        assert_eq!(gone(&BTreeMap::from([(1, recorded), (2, recorded)]), |id| id == 2), [1]);
    }
}
