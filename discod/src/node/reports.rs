//! The last report of each node to the leader, and its time. In memory only, for one term: a new leader receives every
//! node's report within one report interval.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use disco_proto::v1::{DaemonEnds, ReportRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ends::Ended;

/// After this time a refused process counts as new again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Maximum number of refused processes that are remembered.
const MOST_REFUSED: usize = 64;
/// Maximum length of a reason from the wire.
const MOST_BYTES: usize = 500;

/// The last report of each node.
#[derive(Debug)]
pub struct Reports {
    reports: Mutex<HashMap<u64, NodeReport>>,
    listening_since: Instant,
    /// Refused processes that are not the node that they claim to be, by node and address, and when each was last
    /// refused.
    refused: Mutex<BTreeMap<(u64, String), Instant>>,
    /// Unexpected ends of daemons.
    ended: Mutex<HashMap<u64, Ended>>,
}

/// A node's last report.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// When it arrived.
    pub at: Instant,
    /// Start of the node's current uninterrupted series of reports.
    pub since: Instant,
    /// Since when it has reported itself as unhealthy without interruption; none while it is healthy.
    pub unhealthy_since: Option<Instant>,
    /// How far its clock was ahead of this one's, in milliseconds; none if it does not report it.
    pub ahead_ms: Option<i64>,
    /// The report.
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
    /// Stores a report. True if the node was unknown, or its report has changed.
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

    /// Stores the unexpected ends of a node's daemon, reported by the daemon (`up`) or by its supervisor.
    pub fn record_ends(&self, node: u64, ends: Option<DaemonEnds>, up: bool) {
        let (now, mut all) = (Instant::now(), self.ended.lock());
        if let Some(ends) = ends {
            let ended = Ended::hear(ends, up, now, all.get(&node));
            all.insert(node, ended);
        } else if let Some(ended) = all.get_mut(&node) {
            ended.reported();
        }
    }

    /// The known unexpected ends of a node's daemon.
    #[must_use]
    pub fn ended(&self, node: u64) -> Option<Ended> {
        self.ended.lock().get(&node).cloned()
    }

    /// Notes that a process at the address was refused. True if that is new.
    pub fn refuse(&self, node: u64, address: &str) -> bool {
        let mut refused = self.refused.lock();
        refused.retain(|_, at| at.elapsed() < FORGOTTEN_AFTER);
        let who = (node, address.to_owned());
        // More would not be reported than could be acted on.
        (refused.len() < MOST_REFUSED || refused.contains_key(&who)) && refused.insert(who, Instant::now()).is_none()
    }

    /// Processes refused within the time: the node that each claims to be, and its address.
    #[must_use]
    pub fn refused_within(&self, limit: Duration) -> Vec<(u64, String)> {
        let refused = self.refused.lock();
        refused.iter().filter(|(_, at)| at.elapsed() < limit).map(|(who, _)| who.clone()).collect()
    }

    /// The last report of a node.
    #[must_use]
    pub fn get(&self, node: u64) -> Option<NodeReport> {
        self.reports.lock().get(&node).cloned()
    }

    /// When a node reported last.
    #[must_use]
    pub fn heard_at(&self, node: u64) -> Option<Instant> {
        self.reports.lock().get(&node).map(|heard| heard.at)
    }

    /// The reports within the time of nodes whose disk is full.
    #[must_use]
    pub fn without_room(&self, limit: Duration) -> Vec<ReportRequest> {
        let reports = self.reports.lock();
        let full = reports.values().filter(|heard| heard.report.disk_low && heard.at.elapsed() <= limit);
        full.map(|heard| heard.report.clone()).collect()
    }

    /// The last report of each node.
    #[must_use]
    pub fn all(&self) -> Vec<NodeReport> {
        self.reports.lock().values().cloned().collect()
    }

    /// How long this leader has been listening: a node that has not reported yet has been silent for at most this long.
    #[must_use]
    pub fn listening_for(&self) -> Duration {
        self.listening_since.elapsed()
    }

    /// Deletes the reports of a node that is no longer a member.
    pub fn forget(&self, node: u64) {
        self.reports.lock().remove(&node);
        self.ended.lock().remove(&node);
    }
}

/// Whether two reports differ only in constantly changing figures.
fn same(a: &ReportRequest, b: &ReportRequest) -> bool {
    let steady =
        |report: &ReportRequest| ReportRequest { rss_kb: 0, term: 0, disk_free: 0, clock_ms: 0, ..report.clone() };
    steady(a) == steady(b)
}
