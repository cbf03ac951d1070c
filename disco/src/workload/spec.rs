//! From a service of a stack file to what the cluster runs. Pure: the same service gives the same [`ServiceSpec`].

use std::{collections::BTreeMap, time::Duration};

use disco_stack::{
    Condition, Copies, Health, Job, OnFailure, Overlap, Probe, Problem, Resources, RestartWhen, Runs, Service,
};
use disco_store::typed::{
    Copies as CopiesRecord, DependencySpec, HealthSpec, JobSpec, OverlapSpec, PortSpec, ProbeSpec, ProcessSpec,
    ResourceSpec, RestartCondition, RestartSpec, ServiceSpec, UpdateSpec, ValueUse,
};

/// The driver of programs without a container.
pub(super) const PROCESS: &str = "process";
/// How Docker ends a container.
const STOP_SIGNAL: &str = "SIGTERM";

/// Keys that are checked and have no effect on a process yet; each is a warning.
const NO_EFFECT: &[(&str, &str)] = &[
    ("annotations", "no part of the cluster reads them; use `labels`"),
    ("cpuset", "tasks run on all processors of their node; use `cpus`"),
    ("memswap_limit", "`mem_limit` is the limit"),
    ("deploy.endpoint_mode", "tasks are reached at the endpoints of `disco services`"),
    ("deploy.restart_policy.window", "a restart counts whenever it happens"),
    ("deploy.rollback_config", "the way back goes as `update_config` says"),
    ("x-disco.ingress", "no node relays HTTP yet; tasks are reached at the endpoints of `disco services`"),
];

/// Keys that cannot be left out of account.
const REFUSED: &[(&str, &str)] =
    &[("deploy.placement.max_replicas_per_node", "leave it out: copies are spread over the nodes anyway")];

/// What is wrong with a service, and what deserves a word.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

fn problem(service: &Service, key: &str, message: String, hint: &str) -> Problem {
    let place = service.places.get(key).or_else(|| service.places.get("")).copied();
    Problem { message, place, hint: Some(hint.to_owned()), related: Vec::new() }
}

/// Notes what this version of Disco cannot deploy, and what has no effect.
pub(super) fn check(name: &str, service: &Service, findings: &mut Findings) {
    if let Runs::Container { .. } = service.runs {
        let key = ["image", "build"].into_iter().find(|key| service.places.contains_key(*key)).unwrap_or("image");
        let message =
            format!("the service `{name}` is a container (`{key}`), and this version deploys processes alone");
        let hint = "run a program of the project with `x-disco: { process: { path: ./PROGRAM } }`";
        findings.errors.push(problem(service, key, message, hint));
        return;
    }
    for (key, hint) in REFUSED {
        if service.places.contains_key(*key) {
            let message = format!("the service `{name}` has `{key}`, which this version does not deploy");
            findings.errors.push(problem(service, key, message, hint));
        }
    }
    for (key, why) in NO_EFFECT {
        if service.places.contains_key(*key) {
            let message = format!("`{key}` of the service `{name}` has no effect");
            findings.warnings.push(problem(service, key, message, why));
        }
    }
    let limits = service.places.keys().filter_map(|key| key.strip_prefix("ulimits."));
    for limit in limits.filter(|limit| !limit.contains('.') && *limit != "nofile") {
        let key = format!("ulimits.{limit}");
        let message = format!("`{key}` of the service `{name}` has no effect");
        findings.warnings.push(problem(
            service,
            &key,
            message,
            "processes have the limits of the system, and `nofile`",
        ));
    }
    for (other, dependency) in service.depends_on.iter().filter(|(_, dependency)| dependency.restart) {
        // Implied by `links`, too, where it does not stand.
        let key = format!("depends_on.{other}.restart");
        if dependency.restart && service.places.contains_key(&key) {
            let message = format!("`{key}` of the service `{name}` has no effect");
            findings.warnings.push(problem(service, &key, message, "`disco restart SERVICE` restarts one"));
        }
    }
    let mut published = service.ports.iter().filter(|port| port.published.is_some() && !port.host);
    if let Some(port) = published.next() {
        let number = port.published.map_or(0, |published| published.first);
        let message = format!("the port {number} of the service `{name}` is published, and no node relays it yet");
        findings.warnings.push(problem(
            service,
            "ports",
            message,
            "tasks are reached at the endpoints of `disco services`",
        ));
    }
    if service.ports.iter().any(|port| port.host_ip.is_some()) {
        let message = format!("`host_ip` of a port of the service `{name}` has no effect");
        findings.warnings.push(problem(
            service,
            "ports",
            message,
            "a task listens where it chooses: at `DISCO_ADDRESS`",
        ));
    }
}

/// What the cluster runs. `others` are the services of the stack, `values` the secrets and configs that it uses.
pub(super) fn spec(
    service: &Service,
    process: ProcessSpec,
    others: &BTreeMap<String, Service>,
    values: Vec<ValueUse>,
) -> ServiceSpec {
    ServiceSpec {
        driver: PROCESS.to_owned(),
        process: Some(process),
        environment: service
            .environment
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect(),
        ports: ports(service),
        needs: resources(&service.needs),
        limits: resources(&service.limits),
        pids: service.limits.pids.unwrap_or(0),
        open_files: service.open_files.unwrap_or(0),
        constraints: service.constraints.clone(),
        spread: service.spread.clone(),
        health: service.health.as_ref().and_then(health),
        restart: restart(service),
        stop_signal: service.stop_signal.clone().unwrap_or_else(|| STOP_SIGNAL.to_owned()),
        stop_grace_ms: millis(service.stop_grace_period),
        update: update(service),
        singleton: service.singleton,
        depends_on: service
            .depends_on
            .iter()
            .filter(|(name, _)| others.contains_key(*name))
            .map(|(name, dependency)| (name.clone(), condition(dependency.condition)))
            .collect(),
        labels: service.labels.clone(),
        job: service.job.as_ref().map(job),
        values,
        reload: service.reload.clone(),
    }
}

/// How many copies there shall be.
pub(super) fn copies(service: &Service) -> CopiesRecord {
    match service.copies {
        Copies::Number(count) => CopiesRecord::Number(count),
        Copies::EveryNode => CopiesRecord::EveryNode,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `ports`, and those of `expose` that are not among them.
fn ports(service: &Service) -> Vec<PortSpec> {
    let mut ports: Vec<PortSpec> = Vec::new();
    for port in &service.ports {
        let published = port.published.map(|published| (published.first, published.last));
        ports.push(PortSpec { target: port.target, protocol: port.protocol.clone(), published, host: port.host });
    }
    for exposed in &service.expose {
        for target in exposed.first..=exposed.last {
            if !ports.iter().any(|port| port.target == target && port.protocol == exposed.protocol) {
                let protocol = exposed.protocol.clone();
                ports.push(PortSpec { target, protocol, published: None, host: false });
            }
        }
    }
    ports
}

fn resources(given: &Resources) -> ResourceSpec {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of processors are small")]
    let cpu_millis = (given.cpus.unwrap_or(0.0).max(0.0) * 1000.0).ceil() as u64;
    ResourceSpec { cpu_millis, memory: given.memory.unwrap_or(0) }
}

fn health(health: &Health) -> Option<HealthSpec> {
    let probe = match &health.probe {
        Probe::Command(words) => ProbeSpec::Command(words.clone()),
        Probe::Shell(line) => ProbeSpec::Shell(line.clone()),
        Probe::Http(path) => ProbeSpec::Http(path.clone()),
        Probe::Tcp(port) => ProbeSpec::Tcp(*port),
        Probe::Disabled => return None,
    };
    Some(HealthSpec {
        probe,
        interval_ms: millis(health.interval),
        timeout_ms: millis(health.timeout),
        retries: health.retries.max(1),
        start_period_ms: millis(health.start_period),
        start_interval_ms: millis(health.start_interval),
    })
}

fn restart(service: &Service) -> RestartSpec {
    let usual = RestartSpec::default();
    if service.job.is_some() {
        // Each run is one start; the leader tries again what fails.
        return RestartSpec { condition: RestartCondition::Never, ..usual };
    }
    let Some(given) = service.restart else { return usual };
    RestartSpec {
        condition: match given.when {
            RestartWhen::Any => RestartCondition::Any,
            RestartWhen::OnFailure => RestartCondition::OnFailure,
            RestartWhen::Never => RestartCondition::Never,
        },
        delay_ms: given.delay.map_or(usual.delay_ms, millis),
        attempts: given.attempts.unwrap_or(usual.attempts),
    }
}

fn job(job: &Job) -> JobSpec {
    JobSpec {
        schedule: job.schedule.clone(),
        time_zone: job.time_zone.clone(),
        overlap: match job.overlap {
            Overlap::Forbid => OverlapSpec::Forbid,
            Overlap::Allow => OverlapSpec::Allow,
            Overlap::Replace => OverlapSpec::Replace,
        },
        no_catch_up: !job.catch_up,
        timeout_ms: job.timeout.map(millis),
        retries: job.retries,
        keep: job.keep,
    }
}

fn condition(condition: Condition) -> DependencySpec {
    match condition {
        Condition::Started => DependencySpec::Started,
        Condition::Healthy => DependencySpec::Healthy,
        Condition::Completed => DependencySpec::Completed,
    }
}

fn update(service: &Service) -> UpdateSpec {
    let (usual, given) = (UpdateSpec::default(), service.update);
    // What exists once on a node, or once at all, cannot start beside itself.
    let exists_once = service.singleton || service.ports.iter().any(|port| port.host && port.published.is_some());
    let stop_first = given.stop_first.unwrap_or(exists_once);
    let max_unavailable = given.max_unavailable.unwrap_or(usual.max_unavailable);
    let delay = given.delay.unwrap_or_default().max(given.monitor.unwrap_or_default());
    UpdateSpec {
        batch: match given.parallelism {
            Some(0) => u32::MAX,
            Some(count) => count,
            None => usual.batch,
        },
        delay_ms: millis(delay),
        stop_first,
        max_unavailable: if stop_first { max_unavailable.max(1) } else { max_unavailable },
        limit_ms: given.limit.map_or(usual.limit_ms, millis),
        max_failures: match (given.on_failure, given.max_failure_ratio) {
            (Some(OnFailure::Continue), _) => u32::MAX,
            (_, Some(ratio)) => part(ratio, service.copies),
            (_, None) => usual.max_failures,
        },
        keep_failed: matches!(given.on_failure, Some(OnFailure::Pause | OnFailure::Continue)),
    }
}

/// A part of the copies, rounded down.
fn part(ratio: f64, copies: Copies) -> u32 {
    let Copies::Number(copies) = copies else { return UpdateSpec::default().max_failures };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the number of copies")]
    let part = (ratio.clamp(0.0, 1.0) * f64::from(copies)) as u32;
    part
}

#[cfg(test)]
#[path = "spec_test.rs"]
mod tests;
