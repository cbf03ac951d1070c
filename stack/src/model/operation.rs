//! How tasks of a service are placed, limited, started again and exchanged.

use std::{collections::BTreeMap, time::Duration};

use super::read::{duration, number, text, texts};
use crate::yaml::{Node, Value};

/// Resources of a task. `None`: not given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads; of limits alone.
    pub pids: Option<u32>,
}

/// Ports of `expose`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exposed {
    /// The lowest.
    pub first: u16,
    /// The highest; equal to `first` for a single port.
    pub last: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// When a task that ended is started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Restart {
    /// After which ends.
    pub when: RestartWhen,
    /// Time before the first one.
    pub delay: Option<Duration>,
    /// How often at most.
    pub attempts: Option<u32>,
}

/// Ends of a task after which it is started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RestartWhen {
    /// All.
    Any,
    /// Failures alone.
    OnFailure,
    /// None.
    Never,
}

/// `deploy.update_config`, and `x-disco.rollout`. `None`: not given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Tasks that are exchanged at a time; 0: all.
    pub parallelism: Option<u32>,
    /// Time between two batches.
    pub delay: Option<Duration>,
    /// Time after which a new task counts as good.
    pub monitor: Option<Duration>,
    /// An old task ends before a new one starts.
    pub stop_first: Option<bool>,
    /// What follows on a failure.
    pub on_failure: Option<OnFailure>,
    /// The part of tasks that may fail.
    pub max_failure_ratio: Option<f64>,
    /// Healthy tasks that may be missing.
    pub max_unavailable: Option<u32>,
    /// How long nothing may become better before a version counts as failed.
    pub limit: Option<Duration>,
}

/// What follows when a version failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFailure {
    /// The version before comes back.
    Rollback,
    /// The failed version stays as far as it got.
    Pause,
    /// Failures do not count.
    Continue,
}

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

fn real(node: Option<&Node>) -> Option<f64> {
    match node?.value {
        #[expect(clippy::cast_precision_loss, reason = "numbers of processors and ratios are small")]
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}

/// Sizes are in bytes once they are read.
fn bytes(node: Option<&Node>) -> Option<u64> {
    node?.scalar()?.parse().ok()
}

pub(super) fn needs(node: &Node) -> Resources {
    let given = at(node, &["deploy", "resources", "reservations"]);
    Resources {
        cpus: real(given.and_then(|given| given.get("cpus"))),
        memory: bytes(given.and_then(|given| given.get("memory"))).or_else(|| bytes(node.get("mem_reservation"))),
        pids: None,
    }
}

pub(super) fn limits(node: &Node) -> Resources {
    let given = at(node, &["deploy", "resources", "limits"]);
    Resources {
        cpus: real(given.and_then(|given| given.get("cpus"))).or_else(|| real(node.get("cpus"))),
        memory: bytes(given.and_then(|given| given.get("memory"))).or_else(|| bytes(node.get("mem_limit"))),
        pids: given.and_then(|given| number(given, "pids")).or_else(|| number(node, "pids_limit")),
    }
}

/// A negative number is no limit.
pub(super) fn open_files(node: &Node) -> Option<u64> {
    let given = at(node, &["ulimits", "nofile"])?;
    let value = given.get("soft").unwrap_or(given);
    match value.value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

pub(super) fn constraints(node: &Node) -> Vec<String> {
    at(node, &["deploy", "placement"]).and_then(|placement| texts(placement, "constraints")).unwrap_or_default()
}

pub(super) fn spread(node: &Node) -> Vec<String> {
    let preferences = at(node, &["deploy", "placement", "preferences"]).and_then(Node::list).unwrap_or_default();
    preferences.iter().filter_map(|preference| text(preference, "spread")).collect()
}

/// `deploy.restart_policy` goes before `restart`, as in Compose.
pub(super) fn restart(node: &Node) -> Option<Restart> {
    if let Some(policy) = at(node, &["deploy", "restart_policy"]) {
        let when = match text(policy, "condition").as_deref() {
            Some("none") => RestartWhen::Never,
            Some("on-failure") => RestartWhen::OnFailure,
            _ => RestartWhen::Any,
        };
        return Some(Restart { when, delay: duration(policy, "delay"), attempts: number(policy, "max_attempts") });
    }
    let given = text(node, "restart")?;
    let (when, attempts) = match given.split_once(':').unwrap_or((&given, "")) {
        ("no", _) => (RestartWhen::Never, None),
        ("on-failure", attempts) => (RestartWhen::OnFailure, attempts.parse().ok()),
        _ => (RestartWhen::Any, None),
    };
    Some(Restart { when, delay: None, attempts })
}

pub(super) fn update(node: &Node) -> Update {
    let given = at(node, &["deploy", "update_config"]);
    let own = at(node, &["x-disco", "rollout"]);
    Update {
        parallelism: given.and_then(|given| number(given, "parallelism")),
        delay: given.and_then(|given| duration(given, "delay")),
        monitor: given.and_then(|given| duration(given, "monitor")),
        stop_first: given.and_then(|given| text(given, "order")).map(|order| order == "stop-first"),
        on_failure: given.and_then(|given| text(given, "failure_action")).map(|action| match action.as_str() {
            "pause" => OnFailure::Pause,
            "continue" => OnFailure::Continue,
            _ => OnFailure::Rollback,
        }),
        max_failure_ratio: given.and_then(|given| real(given.get("max_failure_ratio"))),
        max_unavailable: own.and_then(|own| number(own, "max_unavailable")),
        limit: own.and_then(|own| duration(own, "limit")),
    }
}

pub(super) fn labels(node: &Node) -> BTreeMap<String, String> {
    let given = [node.get("labels"), at(node, &["deploy", "labels"])];
    let pairs = given.into_iter().flatten().filter_map(Node::map).flatten();
    pairs.map(|(name, entry)| (name.clone(), entry.node.scalar().unwrap_or_default().to_owned())).collect()
}

/// `PORT`, `FIRST-LAST`, either with a protocol; checked when they were read.
pub(super) fn exposed(node: &Node) -> Vec<Exposed> {
    let given = node.get("expose").and_then(Node::list).unwrap_or_default();
    let read = given.iter().filter_map(|item| {
        let text = item.scalar()?;
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        Some(Exposed { first: first.parse().ok()?, last: last.parse().ok()?, protocol: protocol.to_ascii_lowercase() })
    });
    read.collect()
}
