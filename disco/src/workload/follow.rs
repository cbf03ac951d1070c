//! Follows a change until it has ended, by the cluster's records: one progress line for each service.

use std::{collections::BTreeMap, time::Duration};

use disco_store::typed::{DeploymentRecord, DeploymentState, Goal, ServiceRecord, keys};

use super::{Catalogue, trouble::Troubles};
use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::Task as Line,
};

/// Between two readings.
const BETWEEN: Duration = Duration::from_millis(120);
/// Characters of a reason in a progress line.
const LONGEST: usize = 120;
/// How long the cluster may have no leader meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is followed.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// 0: none; the end is then that the services are as they shall be.
    pub(crate) deployment: u64,
    pub(crate) stack: String,
    /// Empty: all of the stack.
    pub(crate) services: Vec<String>,
}

impl Scope {
    fn has(&self, stack: &str, service: &str) -> bool {
        stack == self.stack && (self.services.is_empty() || self.services.iter().any(|name| name == service))
    }
}

/// How a change ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Succeeded,
    /// The failure's state as a deployment has it, and the failure.
    Failed(DeploymentState),
}

/// Waits for the end of a change. The failure of a deployment comes with its state.
pub(crate) async fn follow(client: &Client, context: &Context, scope: &Scope) -> Outcome<(End, Option<Failure>)> {
    let client = client.polling(PATIENCE);
    let mut lines = Lines::new(context);
    let mut troubles = Troubles::default();
    let mut failed: Option<String> = None;
    loop {
        // The record first: what is read after its end is at least as new as the end.
        let record = match scope.deployment {
            0 => None,
            id => Some(deployment(&client, id).await?),
        };
        let catalogue = Catalogue::load(&client).await?;
        lines.show(&catalogue, scope);
        troubles.note(&client, &catalogue, scope.deployment, &scope.stack).await;
        if scope.deployment == 0 {
            let own = catalogue.services.values().filter(|service| scope.has(&service.stack, &service.name));
            failed = own.filter_map(|service| service.rollout.as_ref()?.failed.clone()).next().or(failed);
        }
        match record {
            Some(record) if record.state == DeploymentState::Running => {}
            Some(record) if record.state == DeploymentState::Succeeded => {
                lines.end(None);
                return Ok((End::Succeeded, None));
            }
            Some(record) => {
                let failure = failure(&record, scope);
                let rolled_back = record.state == DeploymentState::RolledBack;
                lines.end(Some(if rolled_back { "went back" } else { "failed" }));
                return Ok((End::Failed(record.state), Some(troubles.explain(failure))));
            }
            None if is_settled(&catalogue, scope) => {
                let Some(why) = failed else {
                    lines.end(None);
                    return Ok((End::Succeeded, None));
                };
                lines.end(Some("went back"));
                let failure =
                    Failure::new(ExitStatus::RolledBack, format!("the change of `{}` failed: {why}", scope.stack));
                return Ok((End::Failed(DeploymentState::RolledBack), Some(troubles.explain(failure))));
            }
            None => {}
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// A deployment's record.
pub(super) async fn deployment(client: &Client, id: u64) -> Outcome<DeploymentRecord> {
    let key = keys::deployment(id);
    let kv = client.get(key.as_bytes(), false, 0).await?.ok_or_else(|| {
        Failure::new(ExitStatus::NotFound, format!("the cluster has no record of deployment {id} any more"))
            .hint("`disco services` shows what runs")
    })?;
    serde_json::from_slice(&kv.value)
        .map_err(|error| Failure::failed(format!("the record `{key}` is damaged")).because(&error))
}

fn failure(record: &DeploymentRecord, scope: &Scope) -> Failure {
    let why =
        record.error.clone().or_else(|| record.unplaced.clone()).unwrap_or_else(|| "no reason is recorded".to_owned());
    let (id, stack) = (record.id, &scope.stack);
    let rolled_back = record.state == DeploymentState::RolledBack;
    let (status, rest) = match (&record.unplaced, rolled_back) {
        (Some(_), true) => (ExitStatus::Unplaced, "; the previous version runs"),
        (Some(_), false) => (ExitStatus::Unplaced, ""),
        (None, true) => (ExitStatus::RolledBack, "; the previous version runs"),
        (None, false) => (ExitStatus::Failed, ""),
    };
    let failure = Failure::new(status, format!("deployment {id} of `{stack}` failed{rest}"));
    let failure = match &record.unplaced {
        Some(unplaced) if !why.contains(unplaced.as_str()) => failure.cause(why).cause(unplaced),
        _ => failure.cause(why),
    };
    let hint = match status {
        ExitStatus::Unplaced => {
            "`disco nodes` shows the nodes; ask for less in the stack file, or add a node".to_owned()
        }
        _ => format!("`disco ps {stack}` shows the tasks, `disco events` what happened"),
    };
    failure.hint(hint)
}

/// Without a deployment: nothing is under way any more.
fn is_settled(catalogue: &Catalogue, scope: &Scope) -> bool {
    let mut own = catalogue.services.values().filter(|service| scope.has(&service.stack, &service.name));
    let under_way = own.any(|service| {
        let ends = service.removed || (service.stopped && left(catalogue, service) > 0);
        ends || service.rollout.is_some()
    });
    // Tasks of a service that is gone already.
    let orphans = catalogue.tasks.iter().any(|task| {
        let (stack, service) = (&task.record.stack, &task.record.service);
        scope.has(stack, service)
            && !task.is_gone()
            && !catalogue.services.contains_key(&(stack.clone(), service.clone()))
    });
    !under_way && !orphans
}

/// Tasks that have not ended yet.
fn left(catalogue: &Catalogue, service: &ServiceRecord) -> usize {
    catalogue.tasks_of(&service.stack, &service.name).filter(|task| !task.is_gone()).count()
}

/// What a service does, in words, and whether it is as it shall be.
fn state(catalogue: &Catalogue, service: &ServiceRecord) -> (String, bool) {
    let tasks = |count: usize| if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") };
    if service.removed || service.stopped {
        return match left(catalogue, service) {
            0 => ("stopped".to_owned(), true),
            count => (format!("stopping {}", tasks(count)), false),
        };
    }
    if catalogue.job_of(service).is_some() {
        return ("a job".to_owned(), service.rollout.is_none());
    }
    let of_version = |task: &&super::Task| task.record.group == service.group && task.record.goal == Goal::Run;
    let healthy =
        catalogue.tasks_of(&service.stack, &service.name).filter(of_version).filter(|task| task.is_healthy()).count();
    let desired = catalogue.desired(service);
    match &service.rollout {
        None => (format!("{healthy} healthy"), true),
        Some(rollout) => {
            let mut text = format!("{healthy} of {desired} healthy");
            if let Some(failed) = &rollout.failed {
                text.push_str(&format!(", going back: {failed}"));
            } else if !service.unplaced.is_empty() {
                text.push_str(&format!(", no node for a task: {}", shortened(&service.unplaced)));
            } else if !rollout.waits_for.is_empty() {
                text.push_str(&format!(", waits for {}", rollout.waits_for));
            }
            (text, false)
        }
    }
}

/// The beginning of a text that may have a part for each node; `disco services` shows the whole.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A progress line for each service that was seen under way.
struct Lines<'a> {
    context: &'a Context,
    open: BTreeMap<String, (Line, String)>,
}

impl<'a> Lines<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, open: BTreeMap::new() }
    }

    fn show(&mut self, catalogue: &Catalogue, scope: &Scope) {
        let mut seen = Vec::new();
        for service in catalogue.services.values().filter(|service| scope.has(&service.stack, &service.name)) {
            let name = format!("{}/{}", service.stack, service.name);
            seen.push(name.clone());
            let (state, settled) = state(catalogue, service);
            if settled && !self.open.contains_key(&name) {
                continue;
            }
            let (line, last) =
                self.open.entry(name).or_insert_with_key(|name| (self.context.printer.task(name), String::new()));
            if *last != state {
                line.state(&state);
                *last = state;
            }
        }
        for (name, (_, last)) in &mut self.open {
            if !seen.contains(name) {
                "removed".clone_into(last);
            }
        }
    }

    /// The last state of each stays on the screen.
    fn end(&mut self, failed: Option<&str>) {
        for (_, (line, last)) in std::mem::take(&mut self.open) {
            match failed {
                Some(why) => line.failed(&format!("{why}, {last}")),
                None => line.done(&last),
            }
        }
    }
}

#[cfg(test)]
#[path = "follow_test.rs"]
mod tests;
