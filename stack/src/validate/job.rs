//! `x-disco.job`: a schedule that can be read, and no keys that mean nothing for a job.

use disco_planner::jobs::{Schedule, ScheduleError};

use super::{entry, text};
use crate::{
    problem::{Findings, Problem},
    yaml::{Entry, Map, Node, Value},
};

/// Keys of a service that mean nothing for a job, and what to do instead.
const OF_SERVICES: &[(&[&str], &str)] = &[
    (&["restart"], "use `x-disco.job.retries`"),
    (&["deploy", "restart_policy"], "use `x-disco.job.retries`"),
    (&["scale"], "a job has no copies: leave it out"),
    (&["deploy", "replicas"], "a job has no copies: leave it out"),
    (&["deploy", "mode"], "a job has no copies: leave it out"),
    (&["deploy", "update_config"], "runs that go on keep their version: leave it out"),
    (&["deploy", "rollback_config"], "runs that go on keep their version: leave it out"),
    (&["ports"], "a job is no endpoint: run what clients connect to as a service"),
    (&["expose"], "a job is no endpoint: run what clients connect to as a service"),
    (&["healthcheck"], "a run ends by itself, and its exit code counts: leave it out"),
    (&["depends_on"], "a run begins by its schedule or by request: leave it out"),
    (&["x-disco", "health"], "a run ends by itself, and its exit code counts: leave it out"),
    (&["x-disco", "rollout"], "runs that go on keep their version: leave it out"),
    (&["x-disco", "ingress"], "a job is no endpoint: run what clients connect to as a service"),
    (&["x-disco", "singleton"], "use `overlap: forbid`, which is the default"),
];

pub(super) fn check(name: &str, service: &Entry, findings: &mut Findings) {
    let Some(job) = job(service) else { return };
    let at = format!("services.{name}.x-disco.job");
    for (path, hint) in OF_SERVICES {
        let Some(given) = find(&service.node, path).filter(|given| !is_nothing(&given.node)) else { continue };
        let message = format!("the service `{name}` is a job, for which `{}` has no meaning", path.join("."));
        findings.error(Problem::at(given.place, message).related("the job", job.place).hint(*hint));
    }
    schedule(&at, job, findings);
    count(&at, job, "retries", 0..=100, findings);
    count(&at, job, "keep", 1..=100, findings);
    if let Some(timeout) = entry(&job.node, "timeout").filter(|given| given.node.scalar() == Some("0s")) {
        let message = format!("`{at}.timeout` is 0: expected a duration such as `10m`");
        findings.error(Problem::at(timeout.node.place, message).hint("leave it out for no limit"));
    }
}

/// No deployment starts a run, so nothing can wait for one.
pub(super) fn check_dependencies(services: &Map, findings: &mut Findings) {
    for (name, service) in services {
        for (other, at) in service.node.get("depends_on").and_then(Node::map).into_iter().flatten() {
            let Some(job) = services.get(other).and_then(job) else { continue };
            let message = format!("the service `{name}` depends on `{other}`, which is a job");
            findings.error(
                Problem::at(at.place, message)
                    .related("the job", job.place)
                    .hint("a deployment starts no run of a job: leave the dependency out"),
            );
        }
    }
}

fn job(service: &Entry) -> Option<&Entry> {
    entry(service.node.get("x-disco")?, "job")
}

fn find<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Entry> {
    let (last, above) = path.split_last()?;
    let node = above.iter().try_fold(node, |node, key| node.get(key))?;
    entry(node, last)
}

fn is_nothing(node: &Node) -> bool {
    node.is_null() || node.list().is_some_and(<[Node]>::is_empty) || node.value == Value::Bool(false)
}

fn schedule(at: &str, job: &Entry, findings: &mut Findings) {
    let zone = entry(&job.node, "time_zone");
    let Some(given) = entry(&job.node, "schedule") else {
        for key in ["time_zone", "catch_up"] {
            if let Some(given) = entry(&job.node, key) {
                let message = format!("`{at}.{key}` has no meaning without `schedule`");
                findings
                    .error(Problem::at(given.place, message).hint("leave it out, or write `schedule: \"0 3 * * *\"`"));
            }
        }
        return;
    };
    let pattern = given.node.scalar().unwrap_or_default();
    match Schedule::parse(pattern, text(&job.node, "time_zone")) {
        Ok(_) => {}
        Err(error @ ScheduleError::Pattern(_)) => {
            findings.error(Problem::at(given.node.place, format!("`{at}.schedule`: {error}")));
        }
        Err(error @ ScheduleError::Zone(_)) => {
            let place = zone.map_or(given.node.place, |zone| zone.node.place);
            findings.error(Problem::at(place, format!("`{at}.time_zone`: {error}")));
        }
    }
}

fn count(at: &str, job: &Entry, key: &str, allowed: std::ops::RangeInclusive<i64>, findings: &mut Findings) {
    let Some(given) = entry(&job.node, key) else { return };
    let in_range = matches!(&given.node.value, Value::Int(value) if allowed.contains(value));
    if !in_range {
        let (least, most) = allowed.into_inner();
        let message = format!("`{at}.{key}` is {}: expected {least} to {most}", given.node.describe());
        findings.error(Problem::at(given.node.place, message));
    }
}
