//! From the normalised tree to types. The tree is valid: what a key can hold was checked before.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map as Object, Value as Json};

use super::{
    Condition, Config, Copies, Dependency, Health, Ingress, Mount, Port, Probe, Process, Published, Runs, Secret,
    Service, Stack, Tls, job, operation,
};
use crate::{
    forms::parse_duration,
    hash, output,
    place::Place,
    yaml::{Node, Value},
};

/// Docker's own, in `daemon/health.go` of Moby.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// Of probes without a program, which cost next to nothing: a deployment waits for them.
const OWN_INTERVAL: Duration = Duration::from_secs(5);
const OWN_TIMEOUT: Duration = Duration::from_secs(5);
const OWN_START_PERIOD: Duration = Duration::from_secs(30);
const OWN_START_INTERVAL: Duration = Duration::from_millis(500);
/// As Docker waits before it kills.
const STOP_GRACE_PERIOD: Duration = Duration::from_secs(10);

/// The stack of a normalised and valid tree.
pub(crate) fn stack(name: String, tree: &Node, values: &BTreeMap<String, String>) -> Stack {
    let mut services = BTreeMap::new();
    for (key, entry) in tree.get("services").and_then(Node::map).into_iter().flatten() {
        services.insert(key.clone(), service(&entry.node, tree));
    }
    let mut secrets = BTreeMap::new();
    for (key, entry) in tree.get("secrets").and_then(Node::map).into_iter().flatten() {
        secrets.insert(key.clone(), secret(key, &entry.node, values));
    }
    let mut configs = BTreeMap::new();
    for (key, entry) in tree.get("configs").and_then(Node::map).into_iter().flatten() {
        configs.insert(key.clone(), config(key, &entry.node, values));
    }
    Stack { json: output::stack(&name, tree, values), name, services, secrets, configs }
}

pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::scalar).map(str::to_owned)
}

pub(super) fn texts(node: &Node, key: &str) -> Option<Vec<String>> {
    Some(node.get(key)?.list()?.iter().filter_map(|item| item.scalar().map(str::to_owned)).collect())
}

fn flag(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(|node| node.value == Value::Bool(true))
}

pub(super) fn number(node: &Node, key: &str) -> Option<u32> {
    match node.get(key)?.value {
        Value::Int(value) => u32::try_from(value).ok(),
        _ => None,
    }
}

pub(super) fn duration(node: &Node, key: &str) -> Option<Duration> {
    parse_duration(node.get(key)?.scalar()?).ok().map(Duration::from_nanos)
}

fn service(node: &Node, tree: &Node) -> Service {
    let json = output::service(node);
    let disco = node.get("x-disco");
    Service {
        runs: runs(node),
        environment: node
            .get("environment")
            .and_then(Node::map)
            .into_iter()
            .flatten()
            .map(|(name, entry)| (name.clone(), entry.node.scalar().map(str::to_owned)))
            .collect(),
        ports: node.get("ports").and_then(Node::list).unwrap_or_default().iter().filter_map(port).collect(),
        expose: operation::exposed(node),
        depends_on: node
            .get("depends_on")
            .and_then(Node::map)
            .into_iter()
            .flatten()
            .map(|(name, entry)| (name.clone(), dependency(&entry.node)))
            .collect(),
        copies: copies(node),
        singleton: disco.is_some_and(|disco| flag(disco, "singleton")),
        health: health(node),
        ingress: disco.and_then(|disco| disco.get("ingress")).map(ingress),
        stop_signal: text(node, "stop_signal"),
        stop_grace_period: duration(node, "stop_grace_period").unwrap_or(STOP_GRACE_PERIOD),
        needs: operation::needs(node),
        limits: operation::limits(node),
        open_files: operation::open_files(node),
        constraints: operation::constraints(node),
        spread: operation::spread(node),
        restart: operation::restart(node),
        update: operation::update(node),
        job: job::read(node),
        labels: operation::labels(node),
        working_dir: text(node, "working_dir"),
        secrets: mounts(node, "secrets"),
        configs: mounts(node, "configs"),
        secret_environment: disco
            .and_then(|disco| disco.get("secret_environment"))
            .and_then(Node::map)
            .into_iter()
            .flatten()
            .filter_map(|(name, entry)| Some((name.clone(), entry.node.scalar()?.to_owned())))
            .collect(),
        reload: disco.and_then(|disco| text(disco, "reload")).and_then(|name| signal(&name)),
        hash: hash::service(&json, &resources(node, tree)),
        places: places(node),
        json,
    }
}

/// Where the service and its keys stand.
fn places(node: &Node) -> BTreeMap<String, Place> {
    let mut found = BTreeMap::from([(String::new(), node.place)]);
    let mut open: Vec<(String, &Node)> = vec![(String::new(), node)];
    while let Some((path, node)) = open.pop() {
        for (key, entry) in node.map().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            found.insert(path.clone(), entry.place);
            open.push((path, &entry.node));
        }
    }
    found
}

fn runs(node: &Node) -> Runs {
    match node.get("x-disco").and_then(|disco| disco.get("process")) {
        Some(process) => Runs::Process(Process {
            path: text(process, "path").unwrap_or_default(),
            args: texts(process, "args").unwrap_or_default(),
            user: text(process, "user"),
        }),
        None => Runs::Container {
            image: text(node, "image"),
            command: texts(node, "command"),
            entrypoint: texts(node, "entrypoint"),
        },
    }
}

fn port(node: &Node) -> Option<Port> {
    let target = match node.get("target")?.value {
        Value::Int(port) => u16::try_from(port).ok()?,
        _ => return None,
    };
    let published = text(node, "published").and_then(|text| {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        Some(Published { first: first.parse().ok()?, last: last.parse().ok()? })
    });
    Some(Port {
        target,
        published,
        protocol: text(node, "protocol").unwrap_or_else(|| "tcp".to_owned()),
        host: text(node, "mode").as_deref() == Some("host"),
        host_ip: text(node, "host_ip"),
    })
}

fn dependency(node: &Node) -> Dependency {
    let condition = match text(node, "condition").as_deref() {
        Some("service_healthy") => Condition::Healthy,
        Some("service_completed_successfully") => Condition::Completed,
        _ => Condition::Started,
    };
    Dependency { condition, restart: flag(node, "restart"), required: flag(node, "required") }
}

fn copies(node: &Node) -> Copies {
    let deploy = node.get("deploy");
    if job::read(node).is_some() {
        return Copies::Number(0);
    }
    if deploy.and_then(|deploy| text(deploy, "mode")).as_deref() == Some("global") {
        return Copies::EveryNode;
    }
    let replicas = deploy.and_then(|deploy| number(deploy, "replicas"));
    Copies::Number(number(node, "scale").or(replicas).unwrap_or(1))
}

fn health(node: &Node) -> Option<Health> {
    let check = node.get("healthcheck");
    let own = node.get("x-disco").and_then(|disco| disco.get("health"));
    let probe = if check.is_some_and(|check| flag(check, "disable")) {
        Probe::Disabled
    } else if let Some(path) = own.and_then(|own| text(own, "http")) {
        Probe::Http(path)
    } else if let Some(port) = own.and_then(|own| number(own, "tcp")) {
        Probe::Tcp(u16::try_from(port).ok()?)
    } else {
        let test = texts(check?, "test")?;
        match test.split_first() {
            Some((kind, rest)) if kind == "CMD" => Probe::Command(rest.to_vec()),
            Some((kind, rest)) if kind == "CMD-SHELL" => Probe::Shell(rest.join(" ")),
            Some(_) => Probe::Disabled,
            None => return None,
        }
    };
    let time = |key: &str, usual: Duration, own: Duration| {
        let usual = if matches!(probe, Probe::Http(_) | Probe::Tcp(_)) { own } else { usual };
        check.and_then(|check| duration(check, key)).unwrap_or(usual)
    };
    Some(Health {
        interval: time("interval", INTERVAL, OWN_INTERVAL),
        timeout: time("timeout", TIMEOUT, OWN_TIMEOUT),
        retries: check.and_then(|check| number(check, "retries")).unwrap_or(RETRIES),
        start_period: time("start_period", Duration::ZERO, OWN_START_PERIOD),
        start_interval: time("start_interval", START_INTERVAL, OWN_START_INTERVAL),
        probe,
    })
}

fn ingress(node: &Node) -> Ingress {
    let tls = match text(node, "tls").as_deref() {
        None | Some("false") => Tls::Off,
        Some("true") => Tls::Own,
        Some(secret) => Tls::Secret(secret.to_owned()),
    };
    Ingress {
        host: text(node, "host").unwrap_or_default(),
        path: text(node, "path").unwrap_or_else(|| "/".to_owned()),
        tls,
    }
}

fn secret(key: &str, node: &Node, values: &BTreeMap<String, String>) -> Secret {
    if let Some(path) = text(node, "file") {
        return Secret::File(path);
    }
    match text(node, "environment") {
        Some(name) => Secret::Variable { name, value: values.get(&format!("secrets.{key}")).cloned() },
        None => Secret::External(text(node, "name").unwrap_or_else(|| key.to_owned())),
    }
}

fn config(key: &str, node: &Node, values: &BTreeMap<String, String>) -> Config {
    if let Some(path) = text(node, "file") {
        return Config::File(path);
    }
    let content = text(node, "content").or_else(|| values.get(&format!("configs.{key}")).cloned());
    match (content, text(node, "environment")) {
        (Some(content), _) => Config::Content(content),
        (None, Some(name)) => Config::Unset(name),
        (None, None) => Config::External(text(node, "name").unwrap_or_else(|| key.to_owned())),
    }
}

/// The signals by which programs read their files again.
pub(crate) const RELOADS: [&str; 6] = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGINT", "SIGCONT"];

/// The full name of one of them.
pub(crate) fn signal(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    RELOADS.contains(&full.as_str()).then_some(full)
}

fn mounts(service: &Node, section: &str) -> Vec<Mount> {
    let mount = |node: &Node| Mount {
        source: text(node, "source").unwrap_or_default(),
        target: text(node, "target").filter(|target| !target.is_empty()),
        uid: text(node, "uid"),
        gid: text(node, "gid"),
        mode: text(node, "mode").and_then(|mode| u32::from_str_radix(&mode, 8).ok()),
    };
    service.get(section).and_then(Node::list).unwrap_or_default().iter().map(mount).collect()
}

/// The definitions of what a service uses, for its hash. Not those of secrets and configs: the cluster adds the numbers of their
/// versions, since a hash over a secret could be guessed.
fn resources(service: &Node, tree: &Node) -> Json {
    let mut all = Object::new();
    let mut add = |section: &str, key: &str| {
        if let Some(node) = tree.get(section).and_then(|section| section.get(key)) {
            all.insert(format!("{section}.{key}"), output::json(node));
        }
    };
    for key in service.get("networks").and_then(Node::map).into_iter().flat_map(|map| map.keys()) {
        add("networks", key);
    }
    for volume in service.get("volumes").and_then(Node::list).unwrap_or_default() {
        if let Some(source) = text(volume, "source") {
            add("volumes", &source);
        }
    }
    Json::Object(all)
}
