//! What each node last reported to the leader, and when. In memory alone, for one term: a new leader hears from everybody within one
//! report interval.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use disco_proto::v1::{DaemonEnds, ReportRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ends::Ended;

/// A process that was refused, and is again after this, is news.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Processes that were refused and are kept in mind.
const MOST_REFUSED: usize = 64;
/// Of a reason that comes over the wire.
const MOST_BYTES: usize = 500;

/// The last report of each node.
#[derive(Debug)]
pub struct Reports {
    reports: Mutex<HashMap<u64, NodeReport>>,
    listening_since: Instant,
    /// Processes that are not the node that they claim to be, by node and address, and when each was last refused.
    refused: Mutex<BTreeMap<(u64, String), Instant>>,
    /// Of daemons that have ended unexpectedly.
    ended: Mutex<HashMap<u64, Ended>>,
}

/// A node's last report.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// When it came.
    pub at: Instant,
    /// When the node was first heard of without a pause since.
    pub since: Instant,
    /// Since when it has said that it is not healthy, without a pause; none while it is.
    pub unhealthy_since: Option<Instant>,
    /// How far its clock was ahead of this one's, in milliseconds; none where it does not tell.
    pub ahead_ms: Option<i64>,
    /// What it said.
    pub report: ReportRequest,
}

// === impl Reports ===

impl Default for Reports {
    fn default() -> Self {
        Self {
            reports: Mutex::default(),
            listening_since: Instant::now(),
            refused: Mutex::default(),
            ended: Mutex::default(),
        }
    }
}

impl Reports {
    /// Takes a report. True when the node was not known, or said something other than before.
    pub fn record(&self, mut report: ReportRequest) -> bool {
        let now = Instant::now();
        report.no_connections.truncate(report.no_connections.floor_char_boundary(MOST_BYTES));
        self.record_ends(report.node_id, report.ends.take(), true);
        let mut reports = self.reports.lock();
        let last = reports.get(&report.node_id);
        let news = last.is_none_or(|last| !same(&last.report, &report));
        let since = last.map_or(now, |last| last.since);
        let unhealthy_since = match report.healthy {
            Some(false) => Some(last.and_then(|last| last.unhealthy_since).unwrap_or(now)),
            _ => None,
        };
        let ahead_ms = (report.clock_ms != 0).then(|| report.clock_ms.saturating_sub(crate::clock::unix_ms()));
        reports.insert(report.node_id, NodeReport { at: now, since, unhealthy_since, ahead_ms, report });
        news
    }

    /// Takes what is known of unexpected ends of a node's daemon, from itself (`up`) or from its supervisor.
    pub fn record_ends(&self, node: u64, ends: Option<DaemonEnds>, up: bool) {
        let (now, mut all) = (Instant::now(), self.ended.lock());
        if let Some(ends) = ends {
            let ended = Ended::hear(ends, up, now, all.get(&node));
            all.insert(node, ended);
        } else if let Some(ended) = all.get_mut(&node) {
            ended.reported();
        }
    }

    /// What is known of unexpected ends of a node's daemon.
    #[must_use]
    pub fn ended(&self, node: u64) -> Option<Ended> {
        self.ended.lock().get(&node).cloned()
    }

    /// Notes that a process at the address was refused. True when that is news.
    pub fn refuse(&self, node: u64, address: &str) -> bool {
        let mut refused = self.refused.lock();
        refused.retain(|_, at| at.elapsed() < FORGOTTEN_AFTER);
        let who = (node, address.to_owned());
        // More than these would be told of no more than they would be stopped.
        (refused.len() < MOST_REFUSED || refused.contains_key(&who)) && refused.insert(who, Instant::now()).is_none()
    }

    /// Processes that were refused within the time: the node that each claims to be, and where it runs.
    #[must_use]
    pub fn refused_within(&self, limit: Duration) -> Vec<(u64, String)> {
        let refused = self.refused.lock();
        refused.iter().filter(|(_, at)| at.elapsed() < limit).map(|(who, _)| who.clone()).collect()
    }

    /// What a node last said.
    #[must_use]
    pub fn get(&self, node: u64) -> Option<NodeReport> {
        self.reports.lock().get(&node).cloned()
    }

    /// The reports of nodes that were heard of within the time and have no room on their disk.
    #[must_use]
    pub fn without_room(&self, limit: Duration) -> Vec<ReportRequest> {
        let reports = self.reports.lock();
        let full = reports.values().filter(|heard| heard.report.disk_low && heard.at.elapsed() <= limit);
        full.map(|heard| heard.report.clone()).collect()
    }

    /// Nodes that were heard of within the time.
    #[must_use]
    pub fn heard_within(&self, limit: Duration) -> Vec<NodeReport> {
        self.reports.lock().values().filter(|heard| heard.at.elapsed() < limit).cloned().collect()
    }

    /// How long this leader has been listening: a node that was not heard of yet has been silent for at most this.
    #[must_use]
    pub fn listening_for(&self) -> Duration {
        self.listening_since.elapsed()
    }

    /// Forgets a node that is no member any more.
    pub fn forget(&self, node: u64) {
        self.reports.lock().remove(&node);
        self.ended.lock().remove(&node);
    }
}

/// Whether two reports differ only in figures that change all the time.
fn same(a: &ReportRequest, b: &ReportRequest) -> bool {
    let steady =
        |report: &ReportRequest| ReportRequest { rss_kb: 0, term: 0, disk_free: 0, clock_ms: 0, ..report.clone() };
    steady(a) == steady(b)
}
