//! Keys of a service that go, or do not go, together.

use super::{entry, text};
use crate::{
    problem::{Findings, Problem},
    yaml::{Entry, Map, Node, Value},
};

pub(super) fn check(name: &str, service: &Entry, findings: &mut Findings) {
    let node = &service.node;
    let process = node.get("x-disco").and_then(|disco| disco.get("process")).is_some();
    if !process && entry(node, "image").is_none() && entry(node, "build").is_none() {
        let message = format!("the service `{name}` has neither `image` nor `build` nor `x-disco.process`");
        findings.error(Problem::at(service.place, message));
    }
    if text(node, "image") == Some("")
        && let Some(image) = entry(node, "image")
    {
        findings.error(Problem::at(image.place, format!("`services.{name}.image` is empty: expected an image")));
    }
    copies(name, node, findings);
    modes(name, node, findings);
    limits(name, node, findings);
    mounts(name, node, findings);
    devices(name, node, findings);
    if let Some(build) = node.get("build")
        && let (Some(inline), Some(file)) = (entry(build, "dockerfile_inline"), entry(build, "dockerfile"))
    {
        let message = format!("`services.{name}.build` has both `dockerfile` and `dockerfile_inline`");
        findings.error(Problem::at(inline.place, message).related("and here", file.place));
    }
}

/// An engine has one container of a name.
pub(super) fn check_container_names(services: &Map, findings: &mut Findings) {
    let mut known: std::collections::BTreeMap<&str, crate::place::Place> = std::collections::BTreeMap::new();
    for (service, entry) in services {
        let Some(given) = entry.node.get("container_name") else { continue };
        let name = given.scalar().unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.len() < 2 || !name.chars().all(allowed) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let message = format!(
                "`services.{service}.container_name` is `{name}`: expected two or more letters, digits, `_`, `.` and `-`"
            );
            findings.error(Problem::at(given.place, message));
        }
        if let Some(other) = known.insert(name, given.place) {
            let message = format!("the container name `{name}` is used twice");
            findings.error(Problem::at(given.place, message).related("first here", other));
        }
    }
}

/// What is mounted at one path hides what is there already.
fn mounts(name: &str, node: &Node, findings: &mut Findings) {
    let mut targets: std::collections::BTreeMap<String, crate::place::Place> = std::collections::BTreeMap::new();
    for (key, folder) in [("volumes", ""), ("tmpfs", ""), ("secrets", "/run/secrets/"), ("configs", "/")] {
        for item in node.get(key).and_then(Node::list).unwrap_or_default() {
            let target = match (item.scalar(), text(item, "target"), text(item, "source")) {
                (Some(tmpfs), _, _) => tmpfs.split(':').next().unwrap_or_default().to_owned(),
                (None, Some(target), _) if target.starts_with('/') || folder.is_empty() => target.to_owned(),
                (None, Some(file), _) | (None, None, Some(file)) => format!("{folder}{file}"),
                _ => continue,
            };
            if let Some(other) = targets.insert(target.clone(), item.place) {
                let message = format!("the service `{name}` has two mounts at `{target}`");
                findings.error(Problem::at(item.place, message).related("first here", other));
            }
        }
    }
}

fn devices(name: &str, node: &Node, findings: &mut Findings) {
    let path = ["deploy", "resources", "reservations", "devices"];
    let devices = path.iter().try_fold(node, |node, key| node.get(key));
    for device in devices.and_then(Node::list).unwrap_or_default() {
        if device.get("capabilities").is_none() {
            let message = format!("`services.{name}.{}`: `capabilities` is missing", path.join("."));
            findings.error(Problem::at(device.place, message));
        }
    }
}

fn number(node: &Node, path: &[&str]) -> Option<(i64, crate::place::Place)> {
    let found = path.iter().try_fold(node, |node, key| node.get(key))?;
    match found.value {
        Value::Int(value) => Some((value, found.place)),
        _ => None,
    }
}

fn copies(name: &str, node: &Node, findings: &mut Findings) {
    let counts: [&[&str]; 9] = [
        &["x-disco", "rollout", "max_unavailable"],
        &["scale"],
        &["deploy", "replicas"],
        &["deploy", "update_config", "parallelism"],
        &["deploy", "rollback_config", "parallelism"],
        &["deploy", "restart_policy", "max_attempts"],
        &["deploy", "placement", "max_replicas_per_node"],
        &["healthcheck", "retries"],
        &["mem_swappiness"],
    ];
    for path in counts {
        if let Some((value, place)) = number(node, path).filter(|(value, _)| *value < 0) {
            let message = format!("`services.{name}.{}` is {value}: expected 0 or more", path.join("."));
            findings.error(Problem::at(place, message));
        }
    }
    let scale = number(node, &["scale"]);
    let replicas = number(node, &["deploy", "replicas"]);
    if let (Some((scale, at)), Some((replicas, other))) = (scale, replicas)
        && scale != replicas
    {
        let message = format!("the service `{name}` has `scale: {scale}` and `deploy.replicas: {replicas}`");
        findings.error(Problem::at(at, message).related("and here", other).hint("leave out one of them"));
    }
    let mode = node.get("deploy").and_then(|deploy| entry(deploy, "mode"));
    match mode.and_then(|mode| mode.node.scalar().map(|text| (text, mode.place))) {
        Some((job @ ("replicated-job" | "global-job"), place)) => {
            let message = format!("Disco does not support `deploy.mode: {job}` of the service `{name}`");
            let hint = "expected `replicated` or `global`; `x-disco: { job: {} }` makes a service a job";
            findings.error(Problem::at(place, message).hint(hint));
        }
        Some(("global", _)) => {
            if let Some((_, place)) = scale.or(replicas) {
                let message =
                    format!("the service `{name}` runs on every node (`mode: global`) and has a number of copies");
                findings.error(Problem::at(place, message).hint("leave out the number"));
            }
        }
        _ => {}
    }
    let many = scale.or(replicas).filter(|(count, _)| *count > 1);
    let single = ["container_name", "mac_address"].iter().find_map(|key| Some((*key, entry(node, key)?)));
    if let (Some((count, place)), Some((key, given))) = (many, single) {
        let message = format!("the service `{name}` has `{key}` and {count} copies: it must be unique");
        findings.error(Problem::at(given.place, message).related("the number of copies", place));
    }
    let fixed = node.get("networks").and_then(Node::map).into_iter().flatten().find_map(|(_, network)| {
        ["ipv4_address", "ipv6_address", "mac_address"].iter().find_map(|key| Some((*key, entry(&network.node, key)?)))
    });
    if let (Some((count, place)), Some((key, given))) = (many, fixed) {
        let message = format!("the service `{name}` has `{key}` and {count} copies: it must be unique");
        findings.error(Problem::at(given.place, message).related("the number of copies", place));
    }
}

fn modes(name: &str, node: &Node, findings: &mut Findings) {
    let allowed: [(&str, &[&str]); 3] = [
        ("network_mode", &["bridge", "host", "none"]),
        ("pid", &["host"]),
        ("ipc", &["host", "private", "shareable", "none"]),
    ];
    for (key, modes) in allowed {
        let Some(given) = entry(node, key) else { continue };
        let mode = given.node.scalar().unwrap_or_default();
        if mode.starts_with("container:") {
            let message = format!("`services.{name}.{key}`: Disco does not support `{mode}`");
            findings.error(Problem::at(given.node.place, message).hint("name a service of the stack: `service:NAME`"));
        } else if !modes.contains(&mode) && mode.strip_prefix("service:").is_none_or(str::is_empty) {
            let message =
                format!("`services.{name}.{key}` is `{mode}`: expected `{}` or `service:NAME`", modes.join("`, `"));
            findings.error(Problem::at(given.node.place, message));
        }
    }
    if let (Some(mode), Some(networks)) = (entry(node, "network_mode"), entry(node, "networks")) {
        let message = format!("the service `{name}` has both `network_mode` and `networks`");
        findings
            .error(Problem::at(mode.place, message).related("and here", networks.place).hint("leave out one of them"));
    }
}

/// One limit in two places must be the same.
fn limits(name: &str, node: &Node, findings: &mut Findings) {
    let pairs: [(&str, [&str; 2]); 4] = [
        ("mem_limit", ["limits", "memory"]),
        ("mem_reservation", ["reservations", "memory"]),
        ("cpus", ["limits", "cpus"]),
        ("pids_limit", ["limits", "pids"]),
    ];
    for (short, [section, key]) in pairs {
        let long = ["deploy", "resources", section, key].iter().try_fold(node, |node, key| node.get(key));
        if let (Some(short_value), Some(long)) = (node.get(short), long)
            && short_value.value != long.value
        {
            let message = format!(
                "the service `{name}` has {} as `{short}` and {} as `deploy.resources.{section}.{key}`",
                short_value.describe(),
                long.describe()
            );
            findings.error(Problem::at(short_value.place, message).related("and here", long.place));
        }
    }
}
