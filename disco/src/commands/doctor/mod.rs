//! `disco doctor`: checks the preconditions of the other commands, each failure with its next step.

mod binaries;
mod check;
mod cluster;
mod daemons;
mod hosts;
mod keys;
mod orphans;
mod provider;
mod scripts;

use check::{Check, Report};

use crate::{context::Context, error::Outcome, exit::ExitStatus, project::ClusterRecord};

pub(super) async fn run(context: &Context) -> Outcome<ExitStatus> {
    if let Some(checks) = orphans::check_without_project(context) {
        return show(context, checks);
    }
    let project = context.project()?;
    let mut checks = vec![Check::good("project", project.root().display().to_string())];
    checks.extend(orphans::check_place(&project).await);
    checks.extend(orphans::check(Some(&project)));
    checks.extend(scripts::check(&project).await);
    checks.extend(binaries::check(&project));
    let record = match ClusterRecord::load(&project.state()) {
        Ok(record) => record,
        Err(failure) => {
            checks.push(Check::failure("state", &failure));
            None
        }
    };
    checks.extend(keys::check(&project, record.as_ref()));
    match &record {
        Some(record) => {
            checks.extend(provider::check(&project, record).await);
            if record.gives_hosts() {
                checks.extend(hosts::check_recorded(context).await);
            }
            let cluster = cluster::check(context).await;
            let all_well = cluster.iter().all(Check::is_good);
            checks.extend(cluster);
            if !all_well {
                checks.extend(daemons::check(context).await);
            }
        }
        None => {
            // A script that does not load is already reported above.
            if !checks.iter().any(Check::is_bad) && project.client_script().is_ok() {
                checks.extend(provider::check_planned(context).await);
            }
            checks.push(Check::good("cluster", "not created yet").next("`disco bootstrap` creates it"));
        }
    }
    show(context, checks)
}

fn show(context: &Context, checks: Vec<Check>) -> Outcome<ExitStatus> {
    let report = Report(checks);
    let exit = if report.failed() { ExitStatus::Failed } else { ExitStatus::Done };
    context.printer.show(&report)?;
    Ok(exit)
}
