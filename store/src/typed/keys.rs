//! The keys of all records.

/// Target number of nodes.
pub const DESIRED_NODES: &str = "/disco/config/desired_nodes";
/// The number that the script's `bootstrap` requested last, so that it does not undo a number set by hand since.
pub const SCRIPT_NODES: &str = "/disco/config/script_nodes";
/// The provider of machines ([`ProviderRecord`](super::ProviderRecord)).
pub const PROVIDER: &str = "/disco/config/provider";
/// The operator's public SSH key, in OpenSSH's form.
pub const OPERATOR_PUBLIC_KEY: &str = "/disco/config/operator_public_key";
/// How machines are started: the last options given to the provider.
pub const MACHINE_OPTIONS: &str = "/disco/config/instance_options";
/// Name of the node to which the cluster's public address leads; absent or empty: to the leader.
pub const ADDRESS_NODE: &str = "/disco/config/address_node";
/// The next node id. Ids are never reused: a node whose disk was wiped is a new one.
pub const NEXT_NODE_ID: &str = "/disco/next_node_id";
/// Number in the name of the next machine that the cluster starts.
pub const NEXT_MACHINE: &str = "/disco/next_instance";
/// Prefix of the node ids that are reserved for machines.
pub const RESERVED: &str = "/disco/reserved/";
/// The next event's id.
pub const NEXT_EVENT: &str = "/disco/next_event";
/// The script version in use ([`CurrentScript`](super::CurrentScript)).
pub const SCRIPT: &str = "/disco/script";
/// The script version that a leader tries, and how many leaders have ended meanwhile; absent while none is tried.
pub const SCRIPT_TRIAL: &str = "/disco/script_trial";
/// The format of the cluster's data; absent: 1. See `disco_proto::format`.
pub const FORMAT: &str = "/disco/format";
/// The right to upgrade the cluster ([`UpgradeRecord`](super::UpgradeRecord)).
pub const UPGRADE: &str = "/disco/upgrade";
/// The state of the signing keys.
pub const SIGNING: &str = "/disco/pki/signing";

/// Prefix of nodes' records.
pub const NODES: &str = "/disco/nodes/";
/// Prefix of nodes' health.
pub const HEALTH: &str = "/disco/health/";
/// Prefix of the reported failures of unhealthy nodes.
pub const TROUBLES: &str = "/disco/troubles/";
/// Prefix of the reported ends of nodes' daemons.
pub const ENDS: &str = "/disco/ends/";
/// Prefix of machines' records.
pub const MACHINES: &str = "/disco/instances/";
/// Prefix of events, whose keys are in their order.
pub const EVENTS: &str = "/disco/events/";
/// Prefix of script versions.
pub const SCRIPTS: &str = "/disco/scripts/";
/// Prefix of deployments, whose keys are in their order.
pub const DEPLOYMENTS: &str = "/disco/deployments/";
/// Prefix of stacks ([`StackRecord`](super::StackRecord)), by their names.
pub const STACKS: &str = "/disco/stacks/";
/// Prefix of services ([`ServiceRecord`](super::ServiceRecord)), by stack and name.
pub const SERVICES: &str = "/disco/services/";
/// Prefix of versions of services ([`GroupRecord`](super::GroupRecord)), whose keys are in their order.
pub const GROUPS: &str = "/disco/groups/";
/// Prefix of tasks ([`TaskRecord`](super::TaskRecord)), whose keys are in their order.
pub const TASKS: &str = "/disco/tasks/";
/// Prefix of what nodes say of tasks ([`TaskStateRecord`](super::TaskStateRecord)), whose keys are in the tasks' order.
pub const TASK_STATES: &str = "/disco/task_states/";
/// Prefix of what nodes have for tasks ([`CapacityRecord`](super::CapacityRecord)).
pub const CAPACITIES: &str = "/disco/capacities/";
/// The id of the next version of a service.
pub const NEXT_GROUP: &str = "/disco/next_group";
/// The id of the next task.
pub const NEXT_TASK: &str = "/disco/next_task";
/// Prefix of jobs ([`JobRecord`](super::JobRecord)), by stack and name.
pub const JOBS: &str = "/disco/jobs/";
/// Prefix of runs of jobs ([`JobRunRecord`](super::JobRunRecord)), by stack, name and number.
pub const JOB_RUNS: &str = "/disco/job_runs/";
/// Prefix of the names of secrets and configs ([`ValueRecord`](super::ValueRecord)), by kind and name.
pub const VALUES: &str = "/disco/values/";
/// Prefix of the versions of secrets and configs ([`ValueVersionRecord`](super::ValueVersionRecord)), whose keys are in their order.
pub const VALUE_VERSIONS: &str = "/disco/value_versions/";
/// The number of the next version of a secret or config.
pub const NEXT_VALUE: &str = "/disco/next_value";
/// Which key encrypts new secrets ([`SecretsKeyRecord`](super::SecretsKeyRecord)).
pub const SECRETS_KEY: &str = "/disco/secrets_key";
/// Prefix of the contents of files, by their hashes.
pub const BLOBS: &str = "/disco/blobs/";
/// Prefix of join tokens.
pub const TOKENS: &str = "/disco/tokens/";
/// Prefix of the node ids of joins.
pub const JOINS: &str = "/disco/joins/";

/// Digits of a number in a key, so that keys sort by number: enough for a million a second for eleven days, or one a
/// second for thirty thousand years.
const DIGITS: usize = 12;

/// The last event that the `event` hook received.
pub const EVENT_CURSOR: &str = "/disco/hooks/event_cursor";

/// A node's record.
pub fn node(id: u64) -> String {
    format!("{NODES}{id}")
}

/// The last verdict of a node's health hook.
pub fn health(id: u64) -> String {
    format!("{HEALTH}{id}")
}

/// The reported reason why a node is unhealthy: JSON text, present while it is.
pub fn trouble(id: u64) -> String {
    format!("{TROUBLES}{id}")
}

/// The reported unexpected ends of a node's daemon ([`EndsRecord`](super::EndsRecord)).
pub fn ends(id: u64) -> String {
    format!("{ENDS}{id}")
}

/// A machine's record, by the token of its start.
pub fn machine(token: &str) -> String {
    format!("{MACHINES}{token}")
}

/// The node id that is reserved for a machine, by the token of its start, until a node has joined with it.
pub fn reserved(token: &str) -> String {
    format!("{RESERVED}{token}")
}

/// An event.
pub fn event(id: u64) -> String {
    format!("{EVENTS}{id:0DIGITS$}")
}

/// A script version, by its hash with or without `sha256:`.
pub fn script(hash: &str) -> String {
    format!("{SCRIPTS}{}", hash.strip_prefix("sha256:").unwrap_or(hash))
}

/// A deployment.
pub fn deployment(version: u64) -> String {
    format!("{DEPLOYMENTS}{version:0DIGITS$}")
}

/// A stack.
pub fn stack(name: &str) -> String {
    format!("{STACKS}{name}")
}

/// A service. Neither name has a `/`.
pub fn service(stack: &str, name: &str) -> String {
    format!("{SERVICES}{stack}/{name}")
}

/// Prefix of a stack's services.
pub fn services_of(stack: &str) -> String {
    format!("{SERVICES}{stack}/")
}

/// A version of a service.
pub fn group(id: u64) -> String {
    format!("{GROUPS}{id:0DIGITS$}")
}

/// A task.
pub fn task(id: u64) -> String {
    format!("{TASKS}{id:0DIGITS$}")
}

/// What its node says of a task.
pub fn task_state(id: u64) -> String {
    format!("{TASK_STATES}{id:0DIGITS$}")
}

/// What a node has for tasks.
pub fn capacity(node: u64) -> String {
    format!("{CAPACITIES}{node}")
}

/// A job. Neither name has a `/`.
pub fn job(stack: &str, name: &str) -> String {
    format!("{JOBS}{stack}/{name}")
}

/// A run of a job.
pub fn job_run(stack: &str, name: &str, number: u64) -> String {
    format!("{}{number:0DIGITS$}", job_runs_of(stack, name))
}

/// Prefix of a job's runs, whose keys are in their order.
pub fn job_runs_of(stack: &str, name: &str) -> String {
    format!("{JOB_RUNS}{stack}/{name}/")
}

/// The name of a secret or config; only one of a stack has a `/`.
pub fn value(kind: super::ValueKind, name: &str) -> String {
    format!("{VALUES}{kind}/{name}")
}

/// Prefix of the names of all secrets or configs.
pub fn values_of(kind: super::ValueKind) -> String {
    format!("{VALUES}{kind}/")
}

/// A version of a secret or config.
pub fn value_version(version: u64) -> String {
    format!("{VALUE_VERSIONS}{version:0DIGITS$}")
}

/// A join token's record.
pub fn token(id: &str) -> String {
    format!("{TOKENS}{id}")
}

/// The node id of a join, by its join id in hexadecimal.
pub fn join(join_id: &str) -> String {
    format!("{JOINS}{join_id}")
}

/// The number at the end of a node's, health, event's or deployment's key.
pub fn number(prefix: &str, key: &[u8]) -> Option<u64> {
    std::str::from_utf8(key.strip_prefix(prefix.as_bytes())?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_events() {
        assert_eq!(event(7), "/disco/events/000000000007");
        assert!(event(9) < event(10) && event(99_999) < event(100_000));
        assert_eq!(number(EVENTS, event(100).as_bytes()), Some(100));
        assert_eq!(number(NODES, node(3).as_bytes()), Some(3));
        assert_eq!(number(NODES, b"/disco/nodes/x"), None);
        assert_eq!(number(NODES, b"/disco/health/3"), None);
        assert_eq!(script("sha256:ab"), script("ab"));
    }
}
