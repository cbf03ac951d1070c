//! That a node's daemon has ended without being asked to, told as an event: each of the first ends, then that it ends again and again,
//! and at last that it runs on.
//!
//! What was told is written, so that the next leader does not tell it again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;

use super::driver::{Controller, Outcome, Pause, Schedule};
use crate::ends::Ended;
use crate::node::Leader;
use crate::records::{self, EndsRecord, Severity, Txn};

/// After an event that could not be recorded.
const PAUSE: Pause = Pause::always(Duration::from_secs(10));

/// What is known of a node's daemon, and what is to be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    count: u64,
    is_loop: bool,
    is_over: bool,
}

/// Something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// So many more ends.
    Ended { more: u64, again_and_again: bool },
    /// It runs on; so many ends were not told.
    RunsOn { more: u64 },
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
        look(leader).await.map_err(|why| anyhow!("recording that a daemon has ended: {why}"))?;
        Ok(Outcome::Settled)
    }
}

async fn look(leader: &Leader) -> Result<(), String> {
    let told = leader.raft().store().read(records::told_ends);
    let members = leader.raft().members();
    for member in &members {
        let Some(ended) = leader.reports().ended(member.id) else { continue };
        let before = told.get(&member.id).copied().unwrap_or_default();
        let now = Instant::now();
        let known = Known { count: ended.count(), is_loop: ended.is_loop(now), is_over: ended.is_over(now) };
        if let Some((news, after)) = news(before, known) {
            tell(leader, (member.id, &member.info.name), &ended, news, after).await?;
        }
    }
    for id in gone(&told, |id| members.iter().any(|member| member.id == id)) {
        let forget = Txn::new().delete(&records::keys::ends(id));
        leader.write_in_term(forget.operation()).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What is not told yet, and what then is told.
fn news(told: EndsRecord, known: Known) -> Option<(News, EndsRecord)> {
    let Known { count, is_loop, is_over } = known;
    // A count that is less than what was told began anew.
    let more = if count < told.count { count } else { count - told.count };
    if told.is_loop {
        // It was told that more ends would come.
        return is_over.then_some((News::RunsOn { more }, EndsRecord { count, is_loop: false }));
    }
    match more {
        0 if count < told.count => Some((News::Fresh, EndsRecord { count, is_loop: false })),
        0 => None,
        more => Some((News::Ended { more, again_and_again: is_loop }, EndsRecord { count, is_loop })),
    }
}

/// Nodes that were told of and are no members any more.
fn gone(told: &BTreeMap<u64, EndsRecord>, is_member: impl Fn(u64) -> bool) -> Vec<u64> {
    told.keys().copied().filter(|id| !is_member(*id)).collect()
}

/// What is told and that it was told are written at once.
async fn tell(
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
        News::Ended { more, again_and_again } => {
            let often = if more == 1 { String::new() } else { format!("{more} times, the last time by ") };
            let further =
                if again_and_again { "; it is started again and again, and further ends are not told" } else { "" };
            let text = match often.as_str() {
                "" => format!("the daemon of {name} ended unexpectedly: {cause}{further}"),
                often => format!("the daemon of {name} ended unexpectedly {often}{cause}{further}"),
            };
            ("node.crashed", Severity::Warning, text)
        }
        News::RunsOn { more: 0 } => ("node.restarted", Severity::Info, format!("the daemon of {name} runs on")),
        News::RunsOn { more } => {
            let text =
                format!("the daemon of {name} runs on; it had ended {more} more times, the last time by {cause}");
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
    fn a_loop_is_told_once_and_its_end_once() {
        let mut told = EndsRecord::default();
        let mut said = Vec::new();
        // Three ends that are each heard of, forty that are a loop, two minutes of peace, one more end.
        let course = [known(1, false, false), known(2, false, false), known(2, false, false)]
            .into_iter()
            .chain((3..43).map(|count| known(count, true, false)))
            .chain([known(43, true, false), known(43, false, false), known(43, false, true), known(43, false, true)])
            .chain([known(44, false, false)]);
        for now in course {
            if let Some((news, after)) = news(told, now) {
                said.push(news);
                told = after;
            }
        }
        let ended = |again_and_again| News::Ended { more: 1, again_and_again };
        assert_eq!(said, [ended(false), ended(false), ended(true), News::RunsOn { more: 40 }, ended(false)]);
    }

    #[test]
    fn a_node_that_was_installed_anew_begins_anew() {
        let told = EndsRecord { count: 9, is_loop: false };
        assert_eq!(news(told, known(0, false, true)), Some((News::Fresh, EndsRecord::default())));
        let two = EndsRecord { count: 2, is_loop: false };
        assert_eq!(news(told, known(2, false, false)), Some((News::Ended { more: 2, again_and_again: false }, two)));
        assert_eq!(gone(&BTreeMap::from([(1, told), (2, told)]), |id| id == 2), [1]);
    }
}
