//! The status of the cluster.
//!
//! The leader answers, since only it receives every node's reports. Without a leader the node that received the request
//! answers with what it knows and marks the answer as stale.

use std::collections::BTreeMap;
use std::time::Duration;

use disco_proto::v1::{ControllerStatus, NodeStatus, ReportRequest, StatusRequest, StatusResponse};
use disco_provider::SshTarget;
use tokio::time::Instant;

use super::own;
use crate::clocks;
use crate::cluster::machines::provider::ssh_targets;
use crate::cluster::recorded::Recorded;
use crate::cluster::{Executor, certificates, leader};
use crate::contact::Contact;
use crate::ends::Ended;
use crate::local::describe_hook_off;
use crate::node::{Leader, Node, NodeReport, Pass};
use crate::peers::Hops;
use crate::raft::{Member, Role};
use crate::records::{self, machine_state};

/// The status of the cluster. Always answers: without a leader, with what this node knows.
pub async fn status(node: &Node, hops: Hops, message: StatusRequest) -> StatusResponse {
    if message.stale {
        return own_view(node);
    }
    match leader(node, hops).await {
        Ok(Executor::Here(leader)) => {
            let quorum = node.raft().linearizable().await;
            let mut status = leader_view(&leader);
            if let Err(error) = quorum {
                status.healthy = false;
                status.warnings.insert(0, format!("no quorum answers: {error}"));
            }
            status
        }
        Ok(Executor::There(mut client)) => match client.status(message, None).await {
            Ok(status) => status,
            Err(_) => own_view(node),
        },
        Err(_) => own_view(node),
    }
}

/// The state of the members, as the leader knows it.
pub struct Condition {
    /// Each member's status, without its SSH address.
    pub nodes: Vec<NodeStatus>,
    /// All nodes of the target size exist, are reached, and are healthy.
    pub healthy: bool,
    /// Processes that are refused because they are not the node that they claim to be.
    copies: Vec<String>,
}

/// The state of the members. `recorded` is the state of the store.
#[must_use]
pub fn condition(leader: &Leader, recorded: &Recorded) -> Condition {
    let nodes = statuses(leader, recorded);
    let copies = copies(leader);
    let all_there = recorded.desired.is_none_or(|desired| nodes.len() == desired as usize);
    let well = |node: &NodeStatus| node.healthy && node.answered_ms.is_some();
    let healthy = !nodes.is_empty() && all_there && copies.is_empty() && nodes.iter().all(well);
    Condition { nodes, healthy, copies }
}

/// The status of each member, as the leader knows it, without its SSH address.
#[must_use]
pub fn statuses(leader: &Leader, recorded: &Recorded) -> Vec<NodeStatus> {
    let leads = leader.raft().leadership().borrow().leader;
    let acknowledged = leader.raft().acknowledged();
    let members = leader.raft().members();
    let clocks: Vec<(u64, i64)> = members
        .iter()
        .filter_map(|member| match member.id == leader.id() {
            true => Some((member.id, 0)),
            false => Some((member.id, leader.reports().get(member.id)?.ahead_ms?)),
        })
        .collect();
    let statuses = members.iter().map(|member| {
        let heard = leader.reports().get(member.id);
        let contact = if member.id == leader.id() {
            OWN
        } else {
            let reported = heard.as_ref().map(|heard| heard.at.elapsed());
            Contact { reported, answered: acknowledged.get(&member.id).copied() }
        };
        let status = node_status(leader, Some(leader), recorded, member, heard.as_ref(), contact, leads);
        with_clock(status, clocks::off(member.id, &clocks))
    });
    statuses.collect()
}

/// The leader's view. Also used by the daemon itself.
#[must_use]
pub fn leader_view(leader: &Leader) -> StatusResponse {
    let leadership = leader.raft().leadership().borrow().clone();
    let recorded = leader.raft().store().read(Recorded::read);
    let Condition { nodes, healthy, copies } = condition(leader, &recorded);
    let ssh = ssh_targets(leader);
    let nodes: Vec<NodeStatus> = nodes.into_iter().map(|status| with_ssh(status, &ssh)).collect();
    let desired = recorded.desired;
    let mut warnings = Vec::new();
    if desired.is_some_and(|desired| nodes.len() != desired as usize) {
        warnings.push(format!("{} of {} nodes are members", nodes.len(), desired.unwrap_or(0)));
    }
    warnings.extend(leader.blocked());
    warnings.extend(recorded.ending().map(ending_machine));
    warnings.extend(recorded.machines.iter().filter_map(retried));
    // A node that the leader never reached does not count as a voter, even if it is healthy.
    let unreached = nodes.iter().filter(|node| node.healthy && node.answered_ms.is_none());
    warnings.extend(unreached.map(|node| format!("the leader has not reached {} at {} yet", node.name, node.address)));
    let signing_key = certificates::signing_key(leader);
    let known_elsewhere = leader.raft().store().read(records::signing_key_is_stale);
    let signing_key_stale = known_elsewhere || signing_key.as_ref().is_some_and(certificates::is_due);
    if known_elsewhere {
        warnings.push("a voter that has left knew the signing key; the operator who holds `.disco/ca.key` can replace the key with `disco bootstrap`".to_owned());
    }
    if leader.raft().store().read(disco_store::Store::is_full) {
        warnings.push(
            "the store is over its quota and refuses writes: delete keys, compact, and clear the alarm with \
             `etcdctl alarm disarm` (settings: `disco env`)"
                .to_owned(),
        );
    }
    warnings.extend(unstable(leader, &nodes));
    warnings.extend(hooks_off(leader));
    warnings.extend(certificates::warnings(&nodes, signing_key.as_ref()));
    warnings.extend(copies);
    let base = base(leader);
    StatusResponse {
        healthy,
        leader: leadership.leader.unwrap_or(0),
        term: leadership.term,
        nodes,
        desired_nodes: desired.unwrap_or(0),
        warnings,
        signing_key_stale,
        ending: recorded.ending().map(|machine| machine.name.clone()).collect(),
        controllers: controllers(leader),
        ..base
    }
}

/// The last pass of each of the leader's controllers.
fn controllers(leader: &Leader) -> Vec<ControllerStatus> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let of = |(name, pass): (&str, Pass)| ControllerStatus {
        name: name.to_owned(),
        ago_ms: millis(pass.started.elapsed()),
        took_ms: millis(pass.took),
        error: pass.error.unwrap_or_default(),
        waits_for: pass.waits_for.unwrap_or_default(),
    };
    leader.passes().all().into_iter().map(of).collect()
}

/// Warns of a machine that is ending.
fn ending_machine(machine: &records::MachineRecord) -> String {
    let (name, id) = (&machine.name, &machine.id);
    let since = machine.ending_ms.map(|since| crate::clock::unix_ms().saturating_sub(since).max(0) / 1000);
    let since = since.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    let why = if machine.error.is_empty() { String::new() } else { format!(": {}", machine.error) };
    format!("the machine {id} of `{name}` is ending{since}; it costs money until it has ended{why}")
}

/// Warns of a machine that is being started and has failed before.
fn retried(machine: &records::MachineRecord) -> Option<String> {
    let under_way = matches!(machine.state.as_str(), machine_state::STARTING | machine_state::INSTALLING);
    // The tail of a log may follow.
    let why = machine.error.lines().next().filter(|_| under_way)?;
    Some(format!("the machine of `{}` is not a node yet; the leader retries: {why}", machine.name))
}

/// Nodes that are healthy at this moment, but whose daemon ends repeatedly.
fn unstable(leader: &Leader, nodes: &[NodeStatus]) -> Vec<String> {
    let now = Instant::now();
    let healthy = nodes.iter().filter(|status| status.healthy);
    let looping = healthy
        .filter_map(|status| Some((status, leader.reports().ended(status.id).filter(|ended| ended.is_loop(now))?)));
    looping.map(|(status, ended)| format!("{} does not stay up: {}", status.name, ended.describe(now))).collect()
}

/// Disabled hooks, each with its nodes.
fn hooks_off(leader: &Leader) -> Vec<String> {
    let mut hooks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in leader.raft().members() {
        let off = match leader.reports().get(member.id) {
            _ if member.id == leader.id() => own::hooks_off(leader),
            Some(heard) => heard.report.hooks_off,
            None => Vec::new(),
        };
        for hook in off {
            hooks.entry(hook).or_default().push(member.id.to_string());
        }
    }
    let texts = hooks.into_iter().map(|(hook, nodes)| {
        let what = describe_hook_off(&hook, &nodes.join(", "));
        format!("{what}; correct `cluster.js` and run `disco script push`")
    });
    texts.collect()
}

/// Processes that are refused because they are not the node that they claim to be.
fn copies(leader: &Leader) -> Vec<String> {
    let recent = leader.reports().refused_within(leader.raft().pace().suspect_after() * 2);
    let copies = recent.into_iter().map(|(id, address)| {
        let name = records::node_name(leader, id);
        let own = leader.member_address(id).unwrap_or_default();
        format!("{name} runs at {own}; the leader refuses a process at {address} that runs on a copy of its data folder: stop it")
    });
    copies.collect()
}

/// What this node knows without a leader.
fn own_view(node: &Node) -> StatusResponse {
    let leadership = node.raft().leadership().borrow().clone();
    let members = node.raft().members();
    let ssh = ssh_targets(node);
    let recorded = node.raft().store().read(Recorded::read);
    let statuses = members.iter().map(|member| {
        let own = member.id == node.id();
        let contact = if own { OWN } else { Contact::default() };
        let mut status = node_status(node, None, &recorded, member, None, contact, leadership.leader);
        if !own {
            status.healthy = false;
            status.reason = "unknown without a leader".to_owned();
        }
        with_ssh(status, &ssh)
    });
    StatusResponse {
        healthy: false,
        leader: leadership.leader.unwrap_or(0),
        term: leadership.term,
        nodes: statuses.collect(),
        warnings: vec![format!("no leader answers; showing what node {} knows", node.id())],
        stale: true,
        ..base(node)
    }
}

fn base(node: &Node) -> StatusResponse {
    let (log_term, log_index) = node.raft().last_log_id();
    let (script, revision) = node.raft().store().read(|store| (records::current_script(store), store.revision()));
    let (compact_revision, history_bytes) =
        node.raft().store().read(|store| (store.compact_revision(), store.history_bytes()));
    let script_nodes = node.raft().store().read(records::script_nodes);
    StatusResponse {
        script_nodes,
        cluster: node.cluster_name().to_owned(),
        cluster_id: node.cluster_id().to_string(),
        script: script.unwrap_or_default(),
        revision,
        log_term,
        log_index,
        answered_by: node.id(),
        own_address: node.address().to_string(),
        format: node.raft().store().read(records::format),
        changing: node.raft().is_changing(),
        compact_revision,
        history_bytes,
        ..StatusResponse::default()
    }
}

fn node_status(
    node: &Node,
    leading: Option<&Leader>,
    recorded: &Recorded,
    member: &Member,
    heard: Option<&NodeReport>,
    contact: Contact,
    leader: Option<u64>,
) -> NodeStatus {
    let own_report;
    let report = if member.id == node.id() {
        own_report = own::report(node);
        Some(&own_report)
    } else {
        heard.map(|heard| &heard.report)
    };
    let listening = leading.map_or(Duration::ZERO, |leader| leader.reports().listening_for());
    // One that has just come to life may have reported before it could answer.
    let listening = heard.map_or(listening, |heard| listening.min(heard.since.elapsed()));
    let limit = node.raft().pace().suspect_after();
    let trouble = contact.trouble(limit, listening, &member.info.address);
    let ended = leading.and_then(|leader| leader.reports().ended(member.id));
    // Why a node is silent matters more than the silence.
    let trouble = match (ended.as_ref().and_then(|ended| ended.trouble(trouble.is_some(), Instant::now())), trouble) {
        (Some(ended), _) => Some(ended),
        (None, Some(trouble)) => Some(match node.peers().why_not_reached(member.id) {
            Some(why) => format!("{trouble} ({why})"),
            None => trouble,
        }),
        (None, None) => None,
    };
    let (healthy, reason) = judge(trouble, recorded.health.get(&member.id), report);
    let retiring = report.map(|report| report.retiring.clone()).unwrap_or_default();
    // The node works until its machine goes.
    let reason = if reason.is_empty() { retiring.clone() } else { reason };
    let record = recorded.node(member.id).cloned().unwrap_or_default();
    let role = if leader == Some(member.id) {
        "leader"
    } else {
        match member.role {
            Role::Voter => "voter",
            Role::Learner => "learner",
        }
    };
    NodeStatus {
        id: member.id,
        name: member.info.name.clone(),
        address: member.info.address.clone(),
        role: role.to_owned(),
        healthy,
        version: report.map_or(record.version, |report| report.version.clone()),
        pid: report.map_or(0, |report| report.pid),
        rss_kb: report.map_or(0, |report| report.rss_kb),
        last_seen_ms: contact.seen().map(millis),
        instance: record.machine,
        reason,
        labels: record.labels.into_iter().collect(),
        draining: record.leaving || !retiring.is_empty() || report.is_some_and(|report| report.draining),
        script: report.map_or_else(String::new, |report| report.script.clone()),
        public_address: record.public_address,
        behind: (leader == Some(node.id())).then(|| behind(node, member)).flatten(),
        certificate: report.and_then(|report| report.certificate.clone()),
        answered_ms: contact.answered.map(millis),
        ssh: String::new(),
        restarts: ended.as_ref().map(Ended::count),
    }
}

/// A node with a wrong clock is unhealthy, even while it still answers on connections that it opened before.
fn with_clock(mut status: NodeStatus, off: Option<i64>) -> NodeStatus {
    if let Some(off) = off {
        let also =
            if status.healthy || status.reason.is_empty() { String::new() } else { format!("; {}", status.reason) };
        status.healthy = false;
        status.reason = format!("{}{also}", clocks::describe(off));
    }
    status
}

/// Adds the address at which the node's machine answers SSH, according to the current scripts.
fn with_ssh(status: NodeStatus, ssh: &BTreeMap<String, SshTarget>) -> NodeStatus {
    let ssh = ssh.get(&status.instance).map(ToString::to_string).unwrap_or_default();
    NodeStatus { ssh, ..status }
}

/// A node always reaches itself.
const OWN: Contact = Contact { reported: Some(Duration::ZERO), answered: Some(Duration::ZERO) };

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Number of entries of this leader's log that a member may lack.
fn behind(node: &Node, member: &Member) -> Option<u64> {
    if member.id == node.id() {
        return Some(0);
    }
    member.matched.map(|matched| node.raft().last_index().saturating_sub(matched))
}

/// Whether a node is healthy, and why not. `trouble` describes what is wrong with the connections between it and the
/// leader.
fn judge(
    trouble: Option<String>,
    health: Option<&records::HealthRecord>,
    report: Option<&ReportRequest>,
) -> (bool, String) {
    if let Some(trouble) = trouble {
        return (false, trouble);
    }
    match health {
        Some(health) if !health.healthy => (false, health.reason.clone()),
        _ if report.is_some_and(|report| report.disk_low) => {
            let free = report.map_or(0, |report| report.disk_free >> 20);
            (false, format!("its disk is full: {free} MiB free"))
        }
        _ if report.is_some_and(|report| !report.no_connections.is_empty()) => {
            let why = report.map(|report| report.no_connections.as_str()).unwrap_or_default();
            (false, format!("it accepts no new connections: {why}"))
        }
        _ if report.is_some_and(|report| report.draining) => (false, "it is stopping".to_owned()),
        _ => (true, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_accepts_no_connections_or_whose_clock_is_wrong_is_unhealthy_with_the_reason() {
        let report = ReportRequest { no_connections: "Too many open files".to_owned(), ..ReportRequest::default() };
        let (healthy, reason) = judge(None, None, Some(&report));
        assert!(!healthy && reason == "it accepts no new connections: Too many open files", "{reason}");
        assert_eq!(judge(None, None, Some(&ReportRequest::default())), (true, String::new()));

        let well = NodeStatus { healthy: true, ..NodeStatus::default() };
        assert_eq!(with_clock(well.clone(), None), well);
        let off = with_clock(well, Some(400 * 86_400_000));
        assert!(!off.healthy && off.reason.starts_with("its clock is 400 days ahead"), "{}", off.reason);
        let silent = NodeStatus { reason: "no sign of life for 9.0 s".to_owned(), ..NodeStatus::default() };
        let both = with_clock(silent, Some(-400 * 86_400_000)).reason;
        assert!(both.contains("behind") && both.ends_with("; no sign of life for 9.0 s"), "{both}");
    }

    #[test]
    fn a_failing_machine_is_a_warning_with_its_providers_reason_until_it_is_a_node() {
        let (name, error) = ("web-4".to_owned(), "starting the machine: no capacity\nmore".to_owned());
        let machine = |state: &str| records::MachineRecord {
            name: name.clone(),
            error: error.clone(),
            state: state.to_owned(),
            ..records::MachineRecord::default()
        };
        let warning = retried(&machine(machine_state::STARTING)).expect("it has failed");
        assert!(warning.contains("`web-4`") && warning.ends_with(": starting the machine: no capacity"), "{warning}");
        assert_eq!(retried(&machine(machine_state::TERMINATING)), None);
        let well = records::MachineRecord { error: String::new(), ..machine(machine_state::INSTALLING) };
        assert_eq!(retried(&well), None);
    }
}
