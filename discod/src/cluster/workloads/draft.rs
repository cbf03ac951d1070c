//! A change of workloads' records while it is made: by an operator's request, or by the leader's controller.

use std::collections::BTreeMap;

use serde_json::json;

use super::recorded::Workloads;
use super::table::ServiceId;
use super::write::News;
use crate::records::{DeploymentRecord, DeploymentState, EventRecord, RolloutRecord, Severity, event, keys};

/// When, and by which leader, a change is made.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Unix time in milliseconds.
    pub ms: i64,
    /// The same, RFC 3339.
    pub text: String,
    /// The leader.
    pub leader: u64,
    /// Its term.
    pub term: u64,
}

/// The records as they shall be, and the events that report why.
pub struct Draft {
    /// The records.
    pub records: Workloads,
    /// Events, with the records that they are about.
    pub news: Vec<News>,
    /// Now.
    pub now: Moment,
}

// === impl Moment ===

impl Moment {
    /// Now, on this leader.
    #[must_use]
    pub fn now(leader: u64, term: u64) -> Self {
        Self { ms: crate::clock::unix_ms(), text: crate::clock::rfc3339(), leader, term }
    }

    /// Milliseconds since a recorded time; 0 if that is in the future, or no time.
    #[must_use]
    pub fn since(&self, time: &str) -> u64 {
        let then = time.parse::<jiff::Timestamp>().map_or(self.ms, jiff::Timestamp::as_millisecond);
        u64::try_from(self.ms.saturating_sub(then)).unwrap_or(0)
    }
}

// === impl Draft ===

impl Draft {
    /// Nothing is changed yet.
    #[must_use]
    pub fn new(records: Workloads, now: Moment) -> Self {
        Self { records, news: Vec::new(), now }
    }

    /// Adds an event about the record with that key.
    pub fn note(&mut self, key: String, event: EventRecord) {
        self.news.push(News { key, event });
    }

    /// Makes the next deployment of a stack.
    pub fn begin_deployment(&mut self, stack: &str, what: &str) -> u64 {
        let id = self.records.deployments.last_id().map_or(0, |id| *id) + 1;
        let record = DeploymentRecord {
            id,
            stack: Some(stack.to_owned()),
            state: DeploymentState::Running,
            script: String::new(),
            files: Vec::new(),
            variables: BTreeMap::new(),
            started_at: self.now.text.clone(),
            finished_at: None,
            leader: self.now.leader,
            term: self.now.term,
            unplaced: None,
            error: None,
            result: None,
        };
        self.records.deployments.put(id, record);
        let event =
            event("deployment.started", Severity::Info, None, format!("deployment {id} of `{stack}` started: {what}"));
        let data = Some(json!({ "deployment": id, "stack": stack }));
        self.note(keys::deployment(id), EventRecord { data, ..event });
        id
    }

    /// Ends a deployment. Its error is the recorded one, or else `error`.
    pub fn end_deployment(&mut self, id: u64, state: DeploymentState, error: Option<String>) {
        let Some(record) = self.records.deployments.get(&id) else { return };
        let error = record.error.clone().or(error);
        let stack = record.stack.clone().unwrap_or_default();
        let finished_at = Some(self.now.text.clone());
        let why = error.as_deref().map_or_else(String::new, |error| format!(": {error}"));
        let (kind, severity, text) = match state {
            DeploymentState::Succeeded => ("deployment.succeeded", Severity::Info, "succeeded".to_owned()),
            DeploymentState::RolledBack => {
                ("deployment.rolled_back", Severity::Error, format!("failed and was rolled back{why}"))
            }
            _ => ("deployment.failed", Severity::Error, format!("failed{why}")),
        };
        let event = event(kind, severity, None, format!("deployment {id} of `{stack}` {text}"));
        let data = Some(json!({ "deployment": id, "stack": stack, "error": error }));
        self.records.deployments.change(&id, |record| {
            (record.state, record.finished_at, record.error) = (state, finished_at, error);
        });
        self.note(keys::deployment(id), EventRecord { data, ..event });
    }

    /// A rollout that begins now.
    #[must_use]
    pub fn rollout(&self, deployment: u64) -> RolloutRecord {
        RolloutRecord {
            deployment,
            started_at: self.now.text.clone(),
            failed: None,
            waits_for: String::new(),
            first_task: self.records.next_task(),
            failures: 0,
        }
    }

    /// The ids of a stack's services.
    #[must_use]
    pub fn services_of(&self, stack: &str) -> Vec<ServiceId> {
        self.records.services_of(stack).map(|service| (service.stack.clone(), service.name.clone())).collect()
    }
}
