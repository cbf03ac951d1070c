//! What happens in a run, told to whoever checks it, in the one order in which it happened.

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

/// A hash that tells contents apart, and is the same in every process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Print(u64);

/// One thing that happened. What no invariant looks at is there for who reads the trace.
#[derive(Debug)]
#[expect(dead_code, reason = "some fields are only printed")]
pub enum Event {
    /// A node's process starts, with this vote on its disk.
    Started { node: u64, vote: Option<Leader>, committed_vote: bool },
    /// It has ended, by a fault or by itself.
    Ended { node: u64 },
    /// A node is about to tell others that this leadership has its vote.
    Voted { node: u64, leader: Leader },
    /// A node leads.
    Leads { node: u64, leader: Leader },
    /// A leader that the others cannot call hands over.
    GaveWay { node: u64, to: u64 },
    /// An entry came to a node's log, after the entry `before`.
    Appended { node: u64, place: Place, before: Option<Place>, print: Print },
    /// A node threw away its log from there on.
    Truncated { node: u64, first: u64 },
    /// A node's log starts after this now.
    Purged { node: u64, upto: Place },
    /// A committed entry that is no command came to its turn.
    Passed { node: u64, place: Place },
    /// A committed command was applied.
    Applied(AppliedCommand),
    /// A node took over a whole state, which reflects all entries up to the place.
    Installed { node: u64, place: Place, revision: i64 },
    /// A client begins an operation. `process` does one thing at a time.
    Called { process: usize, key: u8, operation: Operation, request_id: Bytes },
    /// A client has its answer.
    Answered { process: usize, key: u8, operation: Operation, revision: i64, request_id: Bytes },
    /// A client will not ask again; whether the operation happens is not known to it.
    Abandoned { process: usize },
    /// A node answered from what it has applied, without asking anybody. `life` counts its starts.
    ReadStale { process: usize, node: u64, life: u64, revision: i64 },
    /// What the run did to the cluster.
    Fault(String),
}

/// A command that a node has applied.
#[derive(Debug)]
pub struct AppliedCommand {
    /// The node.
    pub node: u64,
    /// The entry.
    pub place: Place,
    /// Of the command's bytes.
    pub print: Print,
    /// Of the answer.
    pub answer: Print,
    /// What names the command.
    pub request_id: Bytes,
    /// The answer is that of the first time.
    pub repeated: bool,
    /// It was refused.
    pub refused: bool,
    /// The term for which it was meant, or 0.
    pub only_in_term: u64,
    /// Who proposed it, where the command says so: see [`crate::node::records`].
    pub proposer: Option<u64>,
    /// The store's revision after it.
    pub revision: i64,
}

/// Who is told. Cheap to clone.
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
    /// Of some bytes.
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

    /// Something happened.
    pub fn tell(&self, event: Event) {
        self.inner.lock().tell(&event);
    }

    /// What happens from now on, happens at this time of the run.
    pub fn set_time(&self, now: Duration) {
        self.inner.lock().now = now;
    }

    /// Something is wrong that no event shows.
    pub fn accuse(&self, violation: Violation) {
        self.inner.lock().accuse(violation);
    }

    /// The first thing that was wrong, and when.
    pub fn violation(&self) -> Option<(Duration, Violation)> {
        self.inner.lock().violation.clone()
    }

    /// Asks all invariants for what can only be said at the end.
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

    /// A hash of everything that happened, and when.
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
