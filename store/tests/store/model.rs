//! A naive store, with a copy of all keys for each revision, for comparison with the real one.

use std::collections::{BTreeMap, BTreeSet};

use disco_proto::v1::{
    Command, CommandResponse, CompactResponse, Compare, DeleteRangeRequest, DeleteRangeResponse, Event, KeyValue,
    LeaseResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, Refusal, RequestOp, ResponseOp, TxnRequest,
    TxnResponse, command::Operation, command_response::Result as Answer, compare, request_op::Request,
    response_op::Response,
};
use disco_store::{Limits, Scope, Store, matches};
use proptest::prelude::*;

use crate::{common::snapshot, generate};

type State = BTreeMap<Vec<u8>, KeyValue>;

#[derive(Default)]
struct Model {
    /// `states[n]` is the state at revision n + 1; the last may be incomplete.
    states: Vec<State>,
    events: BTreeMap<i64, Vec<Event>>,
    compacted: i64,
    leases: BTreeMap<i64, i64>,
    answers: BTreeMap<Vec<u8>, CommandResponse>,
    /// Of the command that is executed.
    scope: Scope,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![State::new()], ..Self::default() }
    }

    fn revision(&self) -> i64 {
        self.states.len() as i64
    }

    fn now(&self) -> &State {
        self.states.last().unwrap()
    }

    fn apply(&mut self, term: u64, command: &Command) -> (CommandResponse, Vec<Event>) {
        if let Some(answer) = self.answers.get(&*command.request_id) {
            return (answer.clone(), Vec::new());
        }
        let before = self.revision();
        let result = self.execute(term, command);
        let answer = result.unwrap_or_else(|refusal| {
            Answer::Error(disco_proto::v1::CommandError { refusal: refusal.into(), message: String::new() })
        });
        let response = CommandResponse { revision: self.revision(), result: Some(answer) };
        if !command.request_id.is_empty() {
            self.answers.insert(command.request_id.to_vec(), response.clone());
        }
        let changed = self.revision() > before;
        (response, if changed { self.events[&self.revision()].clone() } else { Vec::new() })
    }

    fn execute(&mut self, term: u64, command: &Command) -> Result<Answer, Refusal> {
        if command.only_in_term != 0 && command.only_in_term != term {
            return Err(Refusal::StaleTerm);
        }
        let revision = self.revision() + 1;
        self.scope = if command.users_only { Scope::Users } else { Scope::All };
        match command.operation.as_ref().unwrap() {
            Operation::Put(put) => {
                self.check(&[RequestOp { request: Some(Request::Put(put.clone())) }])?;
                Ok(Answer::Put(self.put(put, revision)))
            }
            Operation::DeleteRange(delete) => {
                self.check(&[RequestOp { request: Some(Request::DeleteRange(delete.clone())) }])?;
                Ok(Answer::DeleteRange(self.delete(delete, revision)))
            }
            Operation::Txn(txn) => {
                form(txn)?;
                self.check(&[RequestOp { request: Some(Request::Txn(txn.clone())) }])?;
                let before = self.seen_now();
                Ok(Answer::Txn(self.txn(txn, &before, revision)))
            }
            Operation::LeaseGrant(grant) => {
                if grant.id <= 0 || grant.ttl <= 0 {
                    return Err(Refusal::Invalid);
                }
                if self.leases.contains_key(&grant.id) {
                    return Err(Refusal::LeaseExists);
                }
                self.leases.insert(grant.id, grant.ttl);
                Ok(Answer::LeaseGrant(LeaseResponse { revision: self.revision(), id: grant.id, ttl: grant.ttl }))
            }
            Operation::LeaseRevoke(revoke) => {
                let ttl = self.leases.remove(&revoke.id).ok_or(Refusal::LeaseNotFound)?;
                self.scope = Scope::All;
                for key in self.attached(revoke.id) {
                    self.delete(&DeleteRangeRequest { key: key.into(), ..DeleteRangeRequest::default() }, revision);
                }
                Ok(Answer::LeaseRevoke(LeaseResponse { revision: self.revision(), id: revoke.id, ttl }))
            }
            Operation::SetAlarm(_) => unreachable!("the model knows no bounds"),
            Operation::Compact(compact) => {
                if compact.revision <= self.compacted {
                    return Err(Refusal::Compacted);
                }
                if compact.revision > self.revision() {
                    return Err(Refusal::FutureRevision);
                }
                self.compacted = compact.revision;
                Ok(Answer::Compact(CompactResponse { revision: self.revision() }))
            }
        }
    }

    /// The keys that exist for the command.
    fn seen(&self, state: &State) -> State {
        state.clone().into_iter().filter(|(key, _)| self.scope.contains(key)).collect()
    }

    fn seen_now(&self) -> State {
        self.seen(self.now())
    }

    fn attached(&self, lease: i64) -> Vec<Vec<u8>> {
        self.now().values().filter(|kv| kv.lease == lease).map(|kv| kv.key.to_vec()).collect()
    }

    /// Whether everything on the path can run.
    fn check(&self, operations: &[RequestOp]) -> Result<(), Refusal> {
        for operation in operations {
            match operation.request.as_ref().unwrap() {
                Request::Range(range) if range.key.is_empty() => return Err(Refusal::EmptyKey),
                Request::Range(range) if range.revision > self.revision() => return Err(Refusal::FutureRevision),
                Request::Range(range) if range.revision > 0 && range.revision < self.compacted => {
                    return Err(Refusal::Compacted);
                }
                Request::Put(put) if put.key.is_empty() => return Err(Refusal::EmptyKey),
                Request::Put(put) => {
                    if (put.ignore_value || put.ignore_lease) && !self.now().contains_key(&*put.key) {
                        return Err(Refusal::KeyNotFound);
                    }
                    if put.lease != 0 && !self.leases.contains_key(&put.lease) {
                        return Err(Refusal::LeaseNotFound);
                    }
                }
                Request::DeleteRange(delete) if delete.key.is_empty() => return Err(Refusal::EmptyKey),
                Request::Txn(txn) => self.check(branch(txn, &self.seen_now()))?,
                _ => (),
            }
        }
        Ok(())
    }

    /// The state in which the changes of `revision` are made.
    fn state(&mut self, revision: i64) -> &mut State {
        if self.revision() < revision {
            self.states.push(self.now().clone());
        }
        self.states.last_mut().unwrap()
    }

    fn put(&mut self, put: &PutRequest, revision: i64) -> PutResponse {
        let old = self.now().get(&*put.key).cloned();
        let kv = KeyValue {
            key: put.key.clone(),
            create_revision: old.as_ref().map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.as_ref().map_or(0, |old| old.version) + 1,
            value: if put.ignore_value { old.clone().unwrap().value } else { put.value.clone() },
            lease: if put.ignore_lease { old.clone().unwrap().lease } else { put.lease },
        };
        self.state(revision).insert(put.key.to_vec(), kv.clone());
        self.events.entry(revision).or_default().push(Event { r#type: 0, kv: Some(kv), prev_kv: old.clone() });
        PutResponse { revision, prev_kv: old.filter(|_| put.prev_kv) }
    }

    fn delete(&mut self, delete: &DeleteRangeRequest, revision: i64) -> DeleteRangeResponse {
        let gone: Vec<_> =
            self.seen_now().into_values().filter(|kv| matches(&delete.key, &delete.range_end, &kv.key)).collect();
        for old in &gone {
            self.state(revision).remove(&*old.key);
            let kv = KeyValue { key: old.key.clone(), mod_revision: revision, ..KeyValue::default() };
            self.events.entry(revision).or_default().push(Event {
                r#type: 1,
                kv: Some(kv),
                prev_kv: Some(old.clone()),
            });
        }
        DeleteRangeResponse {
            revision: self.revision(),
            deleted: gone.len() as i64,
            prev_kvs: if delete.prev_kv { gone } else { Vec::new() },
        }
    }

    fn txn(&mut self, txn: &TxnRequest, before: &State, revision: i64) -> TxnResponse {
        let mut responses = Vec::new();
        for operation in branch(txn, before) {
            let response = match operation.request.as_ref().unwrap() {
                Request::Range(range) => Response::Range(self.range(range)),
                Request::Put(put) => Response::Put(self.put(put, revision)),
                Request::DeleteRange(delete) => Response::DeleteRange(self.delete(delete, revision)),
                Request::Txn(txn) => Response::Txn(self.txn(txn, before, revision)),
            };
            responses.push(ResponseOp { response: Some(response) });
        }
        TxnResponse { revision: self.revision(), succeeded: all_hold(&txn.compare, before), responses }
    }

    fn range(&self, range: &RangeRequest) -> RangeResponse {
        let at = if range.revision > 0 { range.revision } else { self.revision() };
        let state = self.seen(&self.states[at as usize - 1]);
        let mut kvs: Vec<_> = state.into_values().filter(|kv| matches(&range.key, &range.range_end, &kv.key)).collect();
        let count = kvs.len() as i64;
        if range.count_only {
            return RangeResponse { revision: self.revision(), count, ..RangeResponse::default() };
        }
        let outside = |value: i64, min: i64, max: i64| (min > 0 && value < min) || (max > 0 && value > max);
        kvs.retain(|kv| !outside(kv.mod_revision, range.min_mod_revision, range.max_mod_revision));
        kvs.retain(|kv| !outside(kv.create_revision, range.min_create_revision, range.max_create_revision));
        if range.sort_order == 2 {
            kvs.reverse();
        }
        match range.sort_target {
            1 => kvs.sort_by_key(|kv| kv.version),
            2 => kvs.sort_by_key(|kv| kv.create_revision),
            3 => kvs.sort_by_key(|kv| kv.mod_revision),
            4 => kvs.sort_by_key(|kv| kv.value.clone()),
            _ if range.sort_order == 2 => kvs.reverse(),
            _ => (),
        }
        if range.sort_order == 2 {
            // Reversed twice: equal ones are in the order of their keys.
            kvs.reverse();
        }
        let more = range.limit > 0 && kvs.len() > range.limit as usize;
        if more {
            kvs.truncate(range.limit as usize);
        }
        if range.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        RangeResponse { revision: self.revision(), kvs, more, count }
    }
}

fn branch<'a>(txn: &'a TxnRequest, before: &State) -> &'a [RequestOp] {
    if all_hold(&txn.compare, before) { &txn.success } else { &txn.failure }
}

fn all_hold(compares: &[Compare], state: &State) -> bool {
    compares.iter().all(|compare| {
        let found: Vec<_> =
            state.values().filter(|kv| matches(&compare.key, &compare.range_end, &kv.key)).cloned().collect();
        match (&compare.target, found.is_empty()) {
            (Some(compare::Target::Value(_)), true) => false,
            (_, true) => holds(compare, &KeyValue::default()),
            (_, false) => found.iter().all(|kv| holds(compare, kv)),
        }
    })
}

fn holds(compare: &Compare, kv: &KeyValue) -> bool {
    let (found, wanted) = match compare.target.clone().unwrap() {
        compare::Target::Version(wanted) => (kv.version, wanted),
        compare::Target::CreateRevision(wanted) => (kv.create_revision, wanted),
        compare::Target::ModRevision(wanted) => (kv.mod_revision, wanted),
        compare::Target::Lease(wanted) => (kv.lease, wanted),
        compare::Target::Value(wanted) => (kv.value.cmp(&wanted) as i64, 0),
    };
    match compare.result {
        0 => found == wanted,
        1 => found > wanted,
        2 => found < wanted,
        _ => found != wanted,
    }
}

/// Empty keys anywhere, then keys changed twice on any path.
fn form(txn: &TxnRequest) -> Result<(), Refusal> {
    fn empty(txn: &TxnRequest) -> bool {
        txn.compare.iter().any(|compare| compare.key.is_empty())
            || txn.success.iter().chain(&txn.failure).any(|operation| match operation.request.as_ref().unwrap() {
                Request::Range(range) => range.key.is_empty(),
                Request::Put(put) => put.key.is_empty(),
                Request::DeleteRange(delete) => delete.key.is_empty(),
                Request::Txn(txn) => empty(txn),
            })
    }
    /// All paths through the operations, each as its puts and deletions.
    fn ways(operations: &[RequestOp]) -> Vec<Vec<Request>> {
        operations.iter().fold(vec![Vec::new()], |ways_so_far, operation| {
            let next: Vec<Vec<Request>> = match operation.request.clone().unwrap() {
                Request::Txn(txn) => [ways(&txn.success), ways(&txn.failure)].concat(),
                Request::Range(_) => vec![Vec::new()],
                write => vec![vec![write]],
            };
            ways_so_far.iter().flat_map(|way| next.iter().map(|more| [&way[..], &more[..]].concat())).collect()
        })
    }
    fn clashes(way: &[Request]) -> bool {
        let mut put = BTreeSet::new();
        let deleted = |key: &[u8]| {
            way.iter().any(
                |write| matches!(write, Request::DeleteRange(delete) if matches(&delete.key, &delete.range_end, key)),
            )
        };
        way.iter().any(|write| matches!(write, Request::Put(write) if !put.insert(&write.key) || deleted(&write.key)))
    }
    if empty(txn) {
        return Err(Refusal::EmptyKey);
    }
    if ways(&txn.success).iter().chain(&ways(&txn.failure)).any(|way| clashes(way)) {
        return Err(Refusal::DuplicateKey);
    }
    Ok(())
}

/// Refusals are compared without their messages.
fn without_message(mut response: CommandResponse) -> CommandResponse {
    if let Some(Answer::Error(error)) = &mut response.result {
        error.message.clear();
    }
    response
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(
        commands in generate::commands(),
        ranges in prop::collection::vec(generate::range(), 8),
    ) {
        // Large answers are remembered whole here; a separate test covers the alternative.
        let limits = Limits { remembered_answer_bytes: 1 << 20, ..Limits::default() };
        let (mut store, mut model) = (Store::new(limits), Model::new());
        for command in &commands {
            let applied = store.apply(1, command);
            let (response, events) = model.apply(1, command);
            prop_assert_eq!(without_message(applied.response), response, "{:?}", command);
            prop_assert_eq!(applied.events, events, "{:?}", command);
        }
        prop_assert_eq!((store.revision(), store.compact_revision()), (model.revision(), model.compacted));

        // Every retained revision, and random requests.
        let all = |revision| RangeRequest { key: vec![0].into(), range_end: vec![0].into(), revision, ..RangeRequest::default() };
        for scope in [Scope::Users, Scope::All] {
            model.scope = scope;
            let view = store.view(scope);
            for revision in model.compacted.max(1)..=model.revision() {
                prop_assert_eq!(view.range(&all(revision)), Ok(model.range(&all(revision))));
            }
            for range in &ranges {
                let operation = RequestOp { request: Some(Request::Range(range.clone())) };
                match (view.range(range), model.check(&[operation])) {
                    (Ok(response), Ok(())) => prop_assert_eq!(response, model.range(range)),
                    (Err(error), Err(refusal)) => prop_assert_eq!(disco_store::Refused::from(error).refusal, refusal),
                    other => prop_assert!(false, "{:?}: {:?}", range, other),
                }
            }
        }

        // The history, in parts of two events, except for pairs that were compacted.
        let mut next = model.compacted.max(1);
        let mut received = BTreeMap::new();
        while next <= model.revision() {
            let history = store.view(Scope::Users).history(next, b"/", b"c", 2).unwrap();
            prop_assert!(history.next > next);
            next = history.next;
            received.extend(history.revisions.into_iter().map(|one| (one.revision, one.events)));
        }
        let mut expected: BTreeMap<_, _> = model.events.clone().split_off(&model.compacted);
        for events in expected.values_mut() {
            events.retain(|event| matches(b"a", b"c", &event.kv.as_ref().unwrap().key));
        }
        expected.retain(|_, events| !events.is_empty());
        for (revision, events) in &mut received {
            for (event, expected) in events.iter_mut().zip(expected.get(revision).into_iter().flatten()) {
                if *revision == model.compacted && event.prev_kv.is_none() {
                    event.prev_kv.clone_from(&expected.prev_kv);
                }
            }
        }
        prop_assert_eq!(received, expected);

        let leases: Vec<_> = store.leases().map(|lease| (lease.id(), lease.keys().map(<[u8]>::to_vec).collect::<Vec<_>>())).collect();
        prop_assert_eq!(leases, model.leases.keys().map(|&id| (id, model.attached(id))).collect::<Vec<_>>());

        // Recomputed sizes are the same.
        let again = Store::decode_snapshot(limits, &*snapshot(&store)).unwrap();
        prop_assert_eq!((again.size_bytes(), again.history_bytes()), (store.size_bytes(), store.history_bytes()));
    }
}
