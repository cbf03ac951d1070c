use disco_provider::{Finding, MachineState};

use super::Check;
use crate::{
    commands::bootstrap::BOOTSTRAP,
    context::Context,
    error::Failure,
    founding::{Purpose, provider_failure, recorded_provider},
    host::Script,
    project::{ClusterRecord, Project},
};

/// Before a cluster exists: checks what `disco bootstrap` would need, by planning the script.
pub(super) async fn check_planned(context: &Context) -> Vec<Check> {
    let planned = async {
        let script = Script::load(context, Purpose::Plan, None).await?;
        let planning = script.planning()?;
        // Report this failure after the provider's findings, which may explain it.
        let called = match script.has(BOOTSTRAP) {
            true => script.plan(BOOTSTRAP).await,
            false => Ok(()),
        };
        Ok::<_, Failure>((planning, called))
    };
    let (planning, called) = match planned.await {
        Ok(planned) => planned,
        Err(failure) => return vec![Check::failure("init", &failure)],
    };
    let mut checks: Vec<Check> = planning.examine().await.into_iter().map(check_of).collect();
    checks.extend(super::hosts::check_planned(planning.founder()).await);
    match called {
        Ok(()) => checks.push(Check::good("plan", "`disco plan` shows what `disco bootstrap` would create")),
        Err(failure) if !checks.iter().any(Check::is_bad) => checks.push(Check::failure("plan", &failure)),
        Err(_) => {}
    }
    checks
}

pub(super) async fn check(project: &Project, record: &ClusterRecord) -> Vec<Check> {
    let provider = match recorded_provider(project, record) {
        Ok(provider) => provider,
        Err(failure) => return vec![Check::failure("provider", &failure)],
    };
    let mut checks: Vec<Check> = provider.examine(None).await.into_iter().map(check_of).collect();
    checks.push(match provider.list().await {
        Ok(machines) => {
            let running = machines.iter().filter(|machine| machine.state == MachineState::Running).count();
            let detail = format!("{} machines of the {} provider, {running} running", machines.len(), provider.kind());
            if running == machines.len() {
                Check::good("provider", detail)
            } else {
                Check::doubtful("provider", detail).next("`disco bootstrap` restarts and repairs what is down")
            }
        }
        Err(error) => Check::failure("provider", &provider_failure(&error)),
    });
    checks
}

fn check_of(finding: Finding) -> Check {
    let check =
        if finding.good { Check::good(finding.name, finding.detail) } else { Check::bad(finding.name, finding.detail) };
    match finding.hint {
        Some(hint) => check.next(hint),
        None => check,
    }
}
