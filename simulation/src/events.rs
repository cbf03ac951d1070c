//! The events of a run, reported to the invariants in the order in which they happened.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::{Command, CommandResponse, command_response};
use disco_store::Applied;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use parking_lot::Mutex;
use prost::Message;

use crate::history::Operation;
use crate::invariants::{self, Invariant, Violation};
use crate::types::{Entry, Leader, LogId, Place, place};

/// A hash of contents that is the same in every process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Print(u64);

/// An event. Fields that no invariant uses are for readers of the trace.
#[derive(Debug)]
#[expect(dead_code, reason = "some fields are only printed")]
pub enum Event {
    /// A node's process starts, with this vote on its disk.
    Started { node: u64, vote: Option<Leader>, committed_vote: bool },
    /// A node's process has ended, by a fault or by itself.
    Ended { node: u64 },
    /// A node is about to grant its vote to this leadership.
    Voted { node: u64, leader: Leader },
    /// A node became leader.
    Leads { node: u64, leader: Leader },
    /// A leader that the others cannot reach hands over.
    GaveWay { node: u64, to: u64 },
    /// An entry was appended to a node's log, after the entry `before`.
    Appended { node: u64, place: Place, before: Option<Place>, print: Print },
    /// A node truncated its log from there on.
    Truncated { node: u64, first: u64 },
    /// A node purged its log up to this entry.
    Purged { node: u64, upto: Place },
    /// A committed entry that is not a command was applied.
    Passed { node: u64, place: Place },
    /// A committed command was applied.
    Applied(AppliedCommand),
    /// A node installed a snapshot, which reflects all entries up to the place.
    Installed { node: u64, place: Place, revision: i64 },
    /// A client begins an operation. A `process` does one operation at a time.
    Called { process: usize, key: u8, operation: Operation, request_id: Bytes },
    /// A client has its answer.
    Answered { process: usize, key: u8, operation: Operation, revision: i64, request_id: Bytes },
    /// A client gave up; the outcome of the operation is unknown to it.
    Abandoned { process: usize },
    /// A node answered from its applied state, without contacting others. `life` counts its starts.
    ReadStale { process: usize, node: u64, life: u64, revision: i64 },
    /// A fault that the run applied to the cluster.
    Fault(String),
}

/// A command that a node has applied.
#[derive(Debug)]
pub struct AppliedCommand {
    /// The node.
    pub node: u64,
    /// The entry.
    pub place: Place,
    /// A hash of the command's bytes.
    pub print: Print,
    /// A hash of the answer.
    pub answer: Print,
    /// The command's request id.
    pub request_id: Bytes,
    /// Whether the answer is that of the first application.
    pub repeated: bool,
    /// Whether it was refused.
    pub refused: bool,
    /// The term for which it was meant, or 0.
    pub only_in_term: u64,
    /// The proposer, if the command contains it: see [`crate::node::records`].
    pub proposer: Option<u64>,
    /// The store's revision after it.
    pub revision: i64,
}

/// Receives the events. Cheap to clone.
#[derive(Clone)]
pub struct Observer {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    now: Duration,
    invariants: Vec<Box<dyn Invariant>>,
    violation: Option<(Duration, Violation)>,
    trace: DefaultHasher,
    print: bool,
    counts: BTreeMap<&'static str, u64>,
}

// === impl Print ===

impl Print {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Self(hasher.finish())
    }
}

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// === impl Event ===

impl Event {
    pub fn appended(node: u64, entry: &Entry, before: Option<&LogId>) -> Self {
        let print = match &entry.payload {
            EntryPayload::Blank => Print(0),
            EntryPayload::Normal(request) => Print::of(&request.0),
            EntryPayload::Membership(membership) => Print::of(format!("{membership:?}").as_bytes()),
        };
        Self::Appended { node, place: place(&entry.log_id()), before: before.map(place), print }
    }

    pub fn applied(
        node: u64,
        id: &LogId,
        bytes: &[u8],
        request_id: Bytes,
        command: &Command,
        applied: &Applied,
    ) -> Self {
        Self::Applied(AppliedCommand {
            node,
            place: place(id),
            print: Print::of(bytes),
            answer: Print::of(&applied.response.encode_to_vec()),
            request_id,
            repeated: applied.repeated,
            refused: is_refused(&applied.response),
            only_in_term: command.only_in_term,
            proposer: crate::node::records::proposer(command),
            revision: applied.response.revision,
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "starts",
            Self::Ended { .. } => "ends",
            Self::Voted { .. } => "votes",
            Self::Leads { .. } => "leaderships",
            Self::GaveWay { .. } => "leaders that gave way",
            Self::Appended { .. } => "entries appended",
            Self::Truncated { .. } => "truncations",
            Self::Purged { .. } => "purges",
            Self::Passed { .. } => "entries passed",
            Self::Applied(_) => "commands applied",
            Self::Installed { .. } => "snapshots installed",
            Self::Called { .. } => "operations",
            Self::Answered { .. } => "operations answered",
            Self::Abandoned { .. } => "operations abandoned",
            Self::ReadStale { .. } => "stale reads",
            Self::Fault(_) => "faults",
        }
    }
}

/// Whether the store refused the command.
pub fn is_refused(response: &CommandResponse) -> bool {
    matches!(response.result, Some(command_response::Result::Error(_)))
}

// === impl Observer ===

impl Observer {
    /// With all invariants. `print` writes every event to standard error.
    pub fn new(print: bool) -> Self {
        let inner = Inner {
            now: Duration::ZERO,
            invariants: invariants::all(),
            violation: None,
            trace: DefaultHasher::new(),
            print,
            counts: BTreeMap::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Reports an event.
    pub fn tell(&self, event: Event) {
        self.inner.lock().tell(&event);
    }

    /// Sets the run's time for the following events.
    pub fn set_time(&self, now: Duration) {
        self.inner.lock().now = now;
    }

    /// Reports a violation that no event shows.
    pub fn accuse(&self, violation: Violation) {
        self.inner.lock().accuse(violation);
    }

    /// The first violation, and its time.
    pub fn violation(&self) -> Option<(Duration, Violation)> {
        self.inner.lock().violation.clone()
    }

    /// Runs the checks of all invariants that are only possible at the end.
    pub fn finish(&self) {
        let mut inner = self.inner.lock();
        let verdicts: Vec<_> = inner.invariants.iter_mut().map(|invariant| invariant.finish()).collect();
        for violation in verdicts.into_iter().filter_map(Result::err) {
            inner.accuse(violation);
        }
    }

    /// How often each kind of event happened.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.inner.lock().counts.clone()
    }

    /// A hash of all events and their times.
    pub fn trace(&self) -> String {
        format!("{:016x}", self.inner.lock().trace.finish())
    }
}

// === impl Inner ===

impl Inner {
    fn tell(&mut self, event: &Event) {
        let line = format!("{:>10.3}s {event:?}\n", self.now.as_secs_f64());
        self.trace.write(line.as_bytes());
        if self.print {
            crate::output::error(line.trim_end());
        }
        *self.counts.entry(event.kind()).or_default() += 1;
        let verdicts: Vec<_> = self.invariants.iter_mut().map(|invariant| invariant.observe(event)).collect();
        for violation in verdicts.into_iter().filter_map(Result::err) {
            self.accuse(violation);
        }
    }

    fn accuse(&mut self, violation: Violation) {
        if self.violation.is_none() {
            self.violation = Some((self.now, violation));
        }
    }
}
