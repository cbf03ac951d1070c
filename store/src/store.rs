//! The store: commands in, answers and events out.

use std::fmt;

use disco_proto::v1::{
    Command, CommandError, CommandResponse, CompactResponse, Event, LeaseGrantRequest, LeaseResponse,
    LeaseRevokeRequest, RangeRequest, RangeResponse, Refusal, SetAlarmResponse, command::Operation,
    command_response::Result as Answer,
};

use crate::{
    Lease, Limits, ReadError, Refused, Scope,
    answers::{Answers, RequestId},
    change_log::ChangeLog,
    keyspace::Keyspace,
    leases::{LEASE_BYTES, Leases},
    read,
    txn::{self, Cost, Path},
    validate,
    write::Write,
};

/// The replicated state. The crate's documentation states its guarantees.
#[derive(Clone)]
pub struct Store {
    pub(crate) limits: Limits,
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    pub(crate) keys: Keyspace,
    pub(crate) log: ChangeLog,
    pub(crate) leases: Leases,
    pub(crate) answers: Answers,
    /// Whether the alarm is raised.
    pub(crate) full: bool,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// For the proposer; a refusal is an answer too.
    pub response: CommandResponse,
    /// The changes in order, all of one revision, each with the pair before it; for watches.
    pub events: Vec<Event>,
    /// The command was applied before: this is the first answer, and nothing changed now.
    pub repeated: bool,
}

impl Store {
    /// An empty store, at revision 1 like etcd's.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            revision: 1,
            compact_revision: 0,
            keys: Keyspace::default(),
            log: ChangeLog::default(),
            leases: Leases::default(),
            answers: Answers::default(),
            full: false,
        }
    }

    /// Applies the next command of the log, whose entry has the Raft term `term`. Never fails: an impossible command is
    /// refused in the answer, and changes nothing.
    pub fn apply(&mut self, term: u64, command: &Command) -> Applied {
        if let Some(response) = self.answers.get(&command.request_id) {
            return Applied { response, events: Vec::new(), repeated: true };
        }
        let (result, events) = match self.execute(term, command) {
            Ok(done) => done,
            Err(refused) => {
                self.full |= refused.refusal == Refusal::NoSpace;
                (Answer::Error(CommandError::from(refused)), Vec::new())
            }
        };
        let response = CommandResponse { revision: self.revision, result: Some(result) };
        if let Ok(id) = RequestId::try_from(&*command.request_id) {
            self.answers.remember(id, &response, &self.limits);
        }
        Applied { response, events, repeated: false }
    }

    fn execute(&mut self, term: u64, command: &Command) -> Result<(Answer, Vec<Event>), Refused> {
        if command.only_in_term != 0 && command.only_in_term != term {
            let message =
                format!("the command is only valid in term {}, but arrived in term {term}", command.only_in_term);
            return Err(Refused::new(Refusal::StaleTerm, message));
        }
        validate::validate(command, &self.limits)?;
        let scope = Scope::of(command);
        match &command.operation {
            Some(Operation::Put(put)) => {
                self.check(|cost| self.check_put(put, cost))?;
                let mut write = Write::new(self, scope);
                let response = write.put(put);
                Ok((Answer::Put(response), write.finish()))
            }
            Some(Operation::DeleteRange(delete)) => {
                let mut write = Write::new(self, scope);
                let response = write.delete_range(delete);
                Ok((Answer::DeleteRange(response), write.finish()))
            }
            Some(Operation::Txn(txn)) => {
                let path = Path::of(txn, &self.keys, scope);
                self.check(|cost| self.check_txn(txn, &path, cost))?;
                let mut write = Write::new(self, scope);
                let response = write.txn(txn, &path);
                Ok((Answer::Txn(response), write.finish()))
            }
            Some(Operation::LeaseGrant(grant)) => {
                let response = self.grant(grant, command.proposed_at_ms)?;
                Ok((Answer::LeaseGrant(response), Vec::new()))
            }
            Some(Operation::LeaseRevoke(revoke)) => {
                let (response, events) = self.revoke(revoke)?;
                Ok((Answer::LeaseRevoke(response), events))
            }
            Some(Operation::Compact(compact)) => {
                self.compact(compact.revision)?;
                Ok((Answer::Compact(CompactResponse { revision: self.revision }), Vec::new()))
            }
            Some(Operation::SetAlarm(alarm)) => {
                let was_raised = std::mem::replace(&mut self.full, alarm.no_space);
                Ok((Answer::SetAlarm(SetAlarmResponse { revision: self.revision, was_raised }), Vec::new()))
            }
            // `validate` has refused it already.
            None => Err(Refused::invalid("operation is missing in the command")),
        }
    }

    fn grant(&mut self, grant: &LeaseGrantRequest, proposed_at_ms: i64) -> Result<LeaseResponse, Refused> {
        self.check_room(&Cost::of_bytes(LEASE_BYTES))?;
        if !self.leases.grant(grant.id, grant.ttl, proposed_at_ms) {
            return Err(Refused::new(Refusal::LeaseExists, format!("lease {} already exists", grant.id)));
        }
        Ok(LeaseResponse { revision: self.revision, id: grant.id, ttl: grant.ttl })
    }

    fn revoke(&mut self, revoke: &LeaseRevokeRequest) -> Result<(LeaseResponse, Vec<Event>), Refused> {
        let lease = self.leases.remove(revoke.id).ok_or_else(|| txn::lease_not_found(revoke.id))?;
        let mut write = Write::new(self, Scope::All);
        write.delete(&lease.keys);
        let events = write.finish();
        Ok((LeaseResponse { revision: self.revision, id: lease.id, ttl: lease.ttl }, events))
    }

    fn compact(&mut self, revision: i64) -> Result<(), Refused> {
        if revision <= self.compact_revision {
            let message = format!("revisions before {} are already compacted", self.compact_revision);
            return Err(Refused::new(Refusal::Compacted, message));
        }
        if revision > self.revision {
            return Err(ReadError::Future { requested: revision, revision: self.revision }.into());
        }
        // Only a later version makes a version superfluous, and that one is in the log; so is every deletion.
        for change in self.log.until(revision) {
            self.keys.compact(&change.key, revision);
        }
        self.log.drop_before(revision);
        self.compact_revision = revision;
        Ok(())
    }

    /// Answers a range from the current state.
    ///
    /// # Errors
    /// The request is malformed, or its revision is compacted or in the future.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        self.range_in(Scope::All, request)
    }

    pub(crate) fn range_in(&self, scope: Scope, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        read::check_form(request)?;
        read::check_revision(request.revision, self.revision, self.compact_revision)?;
        Ok(read::range(&self.keys, scope, request, self.revision))
    }

    /// The newest revision; 1 if nothing was ever written.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The first revision that can be read and watched from; 0 before the first compaction.
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// Whether the alarm of a full store is raised: a command did not fit into [`Limits::quota_bytes`]. Until the alarm
    /// is cleared, the store refuses everything that adds data, except for the cluster's own records.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The bounds that the store enforces.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// All leases by id.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter()
    }

    /// Increases whenever a lease is granted or removed, so that a counter of their time need not read all of them
    /// repeatedly. Counted from the creation or decoding of this store: not part of the state.
    pub fn lease_changes(&self) -> u64 {
        self.leases.changes()
    }

    /// The lease with that id, with its keys.
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// The size that counts against the quota: keys, values and leases, each with a fixed estimate of its overhead. The
    /// same on every node. Remembered answers are not included; they have their own bound.
    pub fn size_bytes(&self) -> u64 {
        self.keys.total_bytes() + self.leases.bytes()
    }

    /// The part of [`size_bytes`](Self::size_bytes) that compaction can free: superseded versions and deleted keys.
    pub fn history_bytes(&self) -> u64 {
        self.keys.total_bytes() - self.keys.live_bytes()
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// Omits keys and values, which may be secrets.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("revision", &self.revision)
            .field("compact_revision", &self.compact_revision)
            .field("keys", &self.keys.len())
            .field("changes", &self.log.len())
            .field("leases", &self.leases.len())
            .field("answers", &self.answers.len())
            .field("size_bytes", &self.size_bytes())
            .field("full", &self.full)
            .finish_non_exhaustive()
    }
}
