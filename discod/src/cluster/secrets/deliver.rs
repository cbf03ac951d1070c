//! The values that a task uses, for the task's node.

use std::time::Duration;

use disco_proto::v1::{TaskValuesRequest, TaskValuesResponse};

use super::seal::{self, Value};
use crate::cluster::{Error, Result};
use crate::home::SecretsKeys;
use crate::node::Node;
use crate::raft::Role;
use crate::records::{self, GroupRecord, TaskRecord, TaskStateRecord, ValueKind, ValueVersionRecord, keys};

/// Time limit for a voter to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The values of one of `asker`'s tasks, of this version of its service, in the order of its uses.
///
/// # Errors
/// The node has no such task, or this one lacks a key.
pub fn values_of(node: &Node, asker: u64, request: TaskValuesRequest) -> Result<TaskValuesResponse> {
    let (id, group) = (request.task_id, request.group);
    let (task, is_gone) = node.raft().store().read(|store| {
        let state = records::get::<TaskStateRecord>(store, &keys::task_state(id));
        let task = records::get::<TaskRecord>(store, &keys::task(id)).map(|task| task.value);
        (task, state.is_some_and(|state| state.value.gone))
    });
    if !task.is_some_and(|task| task.node == asker && task.group == group) || is_gone {
        return Err(Error::Denied(format!("node {asker} has no task {id} with version {group} of its service")));
    }
    let (records, keys) = (recorded(node, group)?, node.secrets_keys());
    let values = records.iter().map(|record| seal::open(&keys, record));
    let values = values.map(|value| value.map(|value| bytes::Bytes::copy_from_slice(value.bytes())));
    Ok(TaskValuesResponse { values: values.collect::<Result<_>>()? })
}

/// The versions that a version of a service uses.
fn recorded(node: &Node, group: u64) -> Result<Vec<ValueVersionRecord>> {
    node.raft().store().read(|store| {
        let group = records::get::<GroupRecord>(store, &keys::group(group));
        let group = group.ok_or_else(|| Error::NotFound("the version of the service was removed".to_owned()))?.value;
        let of = |used: &records::ValueUse| {
            let record = records::get::<ValueVersionRecord>(store, &keys::value_version(used.version));
            let record = record.map(|record| record.value);
            let missing =
                || Error::NotFound(format!("version {} of the {} `{}` is missing", used.version, used.kind, used.name));
            record.filter(|record| record.kind == used.kind && record.name == used.name).ok_or_else(missing)
        };
        group.spec.values.iter().map(of).collect()
    })
}

/// The values of one of this node's own tasks: opened here, if this node has a vote, else by a voter.
///
/// # Errors
/// Why none could.
pub async fn fetch(node: &Node, task: u64, group: u64) -> std::result::Result<Vec<Value>, String> {
    let records = recorded(node, group).map_err(|error| error.to_string())?;
    let keys = node.secrets_keys();
    let mut last = match opened(&keys, &records) {
        Ok(values) => return Ok(values),
        Err(error) => error.to_string(),
    };
    let leader = node.raft().leadership().borrow().leader;
    let mut voters = node.raft().members();
    voters.retain(|member| member.role == Role::Voter && member.id != node.id());
    // What the leader has is the newest.
    voters.sort_by_key(|member| Some(member.id) != leader);
    for voter in voters {
        let Some(mut client) = node.member_client(voter.id) else { continue };
        let request = TaskValuesRequest { task_id: task, group };
        match tokio::time::timeout(ANSWERS_WITHIN, client.task_values(request, ANSWERS_WITHIN)).await {
            Ok(Ok(answer)) if answer.values.len() == records.len() => {
                return Ok(answer.values.into_iter().map(Value::from).collect());
            }
            Ok(Ok(_)) => last = format!("{} knows another version of the service", voter.info.name),
            Ok(Err(error)) => last = format!("{}: {error}", voter.info.name),
            Err(_) => last = format!("{} did not answer", voter.info.name),
        }
    }
    let what = if records.iter().any(|record| record.kind == ValueKind::Secret) { "secrets" } else { "configs" };
    Err(format!("cannot get its {what}: {last}"))
}

fn opened(keys: &SecretsKeys, records: &[ValueVersionRecord]) -> Result<Vec<Value>> {
    records.iter().map(|record| seal::open(keys, record)).collect()
}
