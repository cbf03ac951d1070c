//! `x-disco`: processes, probes and ingress.

use super::{entry, text};
use crate::{
    model::{RELOADS, signal},
    problem::{Findings, Problem},
    yaml::{Entry, Node, Value},
};

/// Keys of a service that mean something for a process, besides `x-…`.
const OF_A_PROCESS: &[&str] = &[
    "annotations",
    "configs",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "environment",
    "expose",
    "healthcheck",
    "labels",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "pids_limit",
    "ports",
    "profiles",
    "restart",
    "scale",
    "secrets",
    "stop_grace_period",
    "stop_signal",
    "ulimits",
    "working_dir",
    "attach",
    "develop",
];

pub(super) fn check(name: &str, service: &Entry, findings: &mut Findings) {
    let Some(disco) = service.node.get("x-disco") else { return };
    if let Some(process) = entry(disco, "process") {
        check_process(name, service, process, findings);
    }
    if let Some(health) = entry(disco, "health") {
        check_health(name, service, health, findings);
    }
    if let Some(ingress) = entry(disco, "ingress") {
        check_ingress(name, service, ingress, findings);
    }
    singleton(name, service, disco, findings);
    values(name, service, disco, findings);
}

/// Variables with secrets, and the signal after a change.
fn values(name: &str, service: &Entry, disco: &Node, findings: &mut Findings) {
    let variables = entry(disco, "secret_environment");
    for (variable, given) in variables.and_then(|entry| entry.node.map()).into_iter().flatten() {
        let at = format!("services.{name}.x-disco.secret_environment.{variable}");
        if given.node.scalar().is_none_or(str::is_empty) {
            findings.error(Problem::at(given.place, format!("`{at}`: expected the key of a secret")));
        }
        if let Some(other) = service.node.get("environment").and_then(|all| entry(all, variable)) {
            let message = format!("the service `{name}` sets the variable `{variable}` twice");
            findings.error(
                Problem::at(given.place, message).related("and here", other.place).hint("leave out one of them"),
            );
        }
    }
    if let Some(given) = variables.filter(|_| entry(disco, "process").is_none()) {
        let message = format!("`services.{name}.x-disco.secret_environment` is for processes");
        let hint = "everyone who may ask a container engine sees a container's variables: use `secrets`";
        findings.error(Problem::at(given.place, message).hint(hint));
    }
    if let Some(reload) =
        entry(disco, "reload").filter(|given| given.node.scalar().is_none_or(|name| signal(name).is_none()))
    {
        let message = format!(
            "`services.{name}.x-disco.reload` is {}: expected one of {}",
            reload.node.describe(),
            RELOADS.join(", ")
        );
        findings.error(Problem::at(reload.place, message));
    }
}

fn check_process(name: &str, service: &Entry, process: &Entry, findings: &mut Findings) {
    if text(&process.node, "path").is_none_or(str::is_empty) {
        let message = format!("`services.{name}.x-disco.process`: `path` is missing");
        findings.error(Problem::at(process.place, message));
    }
    for (key, given) in service.node.map().into_iter().flatten() {
        if key.starts_with("x-") || OF_A_PROCESS.contains(&key.as_str()) || given.node.is_null() {
            continue;
        }
        let message = format!("the service `{name}` is a process, for which `{key}` has no meaning");
        let problem = Problem::at(given.place, message).related("the process", process.place);
        findings.error(match key.as_str() {
            "command" | "entrypoint" => problem.hint("use `x-disco.process.args`"),
            "user" => problem.hint("use `x-disco.process.user`"),
            "image" | "build" => problem.hint("leave out one of them"),
            _ => problem.hint("leave it out, or run the service in a container with `image`"),
        });
    }
}

fn check_health(name: &str, service: &Entry, health: &Entry, findings: &mut Findings) {
    let at = format!("services.{name}.x-disco.health");
    let (http, tcp) = (entry(&health.node, "http"), entry(&health.node, "tcp"));
    match (http, tcp) {
        (None, None) => findings.error(Problem::at(health.place, format!("`{at}`: expected `http` or `tcp`"))),
        (Some(_), Some(tcp)) => {
            findings.error(Problem::at(tcp.place, format!("`{at}` has both `http` and `tcp`: expected one of them")));
        }
        _ => {}
    }
    if let Some(http) = http.filter(|http| !http.node.scalar().unwrap_or_default().starts_with('/')) {
        let message = format!("`{at}.http` is {}: expected a path such as `/healthy`", http.node.describe());
        findings.error(Problem::at(http.node.place, message));
    }
    if let Some(http) = http
        && ["ports", "expose"]
            .iter()
            .all(|key| service.node.get(key).and_then(Node::list).is_none_or(<[Node]>::is_empty))
    {
        let message = format!("`{at}.http` needs a port, and the service has neither `ports` nor `expose`");
        findings
            .error(Problem::at(http.place, message).hint("write `expose: [8080]` with the port on which it listens"));
    }
    if let Some(tcp) = tcp.filter(|tcp| !matches!(tcp.node.value, Value::Int(1..=65_535))) {
        let message = format!("`{at}.tcp` is {}: expected a port from 1 to 65535", tcp.node.describe());
        findings.error(Problem::at(tcp.node.place, message));
    }
    if let Some(test) = service.node.get("healthcheck").and_then(|check| entry(check, "test")) {
        let message = format!("the service `{name}` has both `healthcheck.test` and `x-disco.health`");
        findings
            .error(Problem::at(test.place, message).related("and here", health.place).hint("leave out one of them"));
    }
}

fn check_ingress(name: &str, service: &Entry, ingress: &Entry, findings: &mut Findings) {
    let at = format!("services.{name}.x-disco.ingress");
    let host = text(&ingress.node, "host").unwrap_or_default();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.is_empty() {
        findings.error(Problem::at(ingress.place, format!("`{at}`: `host` is missing")));
    } else if !host.strip_prefix("*.").unwrap_or(host).split('.').all(label) {
        let message = format!("`{at}.host` is `{host}`: expected a name such as `shop.example.com`");
        findings.error(Problem::at(ingress.node.get("host").map_or(ingress.place, |node| node.place), message));
    }
    if let Some(path) = ingress.node.get("path").filter(|path| !path.scalar().unwrap_or_default().starts_with('/')) {
        let message = format!("`{at}.path` is {}: expected a path such as `/api`", path.describe());
        findings.error(Problem::at(path.place, message));
    }
    if ["ports", "expose"].iter().all(|key| service.node.get(key).and_then(Node::list).is_none_or(<[Node]>::is_empty)) {
        let message = format!("`{at}` needs a port, and the service has neither `ports` nor `expose`");
        findings.error(
            Problem::at(ingress.place, message).hint("write `expose: [8080]` with the port on which it listens"),
        );
    }
}

fn singleton(name: &str, service: &Entry, disco: &Node, findings: &mut Findings) {
    let Some(singleton) = entry(disco, "singleton").filter(|given| given.node.value == Value::Bool(true)) else {
        return;
    };
    let node = &service.node;
    let deploy = node.get("deploy");
    let replicas = deploy.and_then(|deploy| deploy.get("replicas"));
    let many =
        [node.get("scale"), replicas].into_iter().flatten().find(|count| !matches!(count.value, Value::Int(0..=1)));
    let order = deploy.and_then(|deploy| deploy.get("update_config")?.get("order"));
    if let Some(order) = order.filter(|order| order.scalar() == Some("start-first")) {
        let message = format!("the service `{name}` is a singleton and starts a second copy in an update");
        let problem = Problem::at(order.place, message).related("the singleton", singleton.place);
        findings.error(problem.hint("use `order: stop-first`"));
    }
    let global = deploy.and_then(|deploy| deploy.get("mode")).filter(|mode| mode.scalar() == Some("global"));
    if let Some(other) = many.or(global) {
        let message = format!("the service `{name}` is a singleton and has more than one copy");
        findings.error(Problem::at(singleton.place, message).related("the copies", other.place));
    }
}
