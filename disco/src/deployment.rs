//! Sends the project's files and calls the `deploy` hook, for `disco deploy` and `cluster.deploy()`.

use std::{collections::HashMap, time::Duration};

use disco_proto::v1::{DeployOutput, DeployRequest, deploy_output::Output};
use disco_runtime_js::ErrorCode;
use serde_json::Value;

use crate::{
    client::{Client, entries, from_status, from_wire},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::push_script,
    printer::Task,
};

/// Time for the cluster to accept the deployment. The hook's run time is not limited.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) variables: HashMap<String, String>,
    pub(crate) dry_run: bool,
    pub(crate) detach: bool,
}

/// The outcome of a deployment.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// Number of the deployment version; 0 in a dry run.
    pub(crate) id: u64,
    pub(crate) files: usize,
    /// The hook's return value.
    pub(crate) result: Value,
}

pub(crate) async fn deploy(client: &Client, context: &Context, request: &Request) -> Outcome<Deployed> {
    let project = context.project()?;
    if project.cluster_script().is_some() {
        // Deploy this project's version of the hook, too.
        push_script(client, &project, &context.printer, request.dry_run).await?;
    }
    let selection = project.deployable_files()?;
    for key in &selection.keys {
        context.printer.warn(&format!("`{key}` is a private key and is not sent: add it to `.discoignore`"));
    }
    for backup in &selection.backups {
        context.printer.warn(&format!(
            "`{backup}` is a backup with all keys of a cluster and is not sent: keep it outside of the project"
        ));
    }
    let task = context.printer.task("deploy");
    let files = selection.files.len();
    task.state(&format!("{files} files"));
    client.upload(&selection, &task).await?;
    task.state("waiting for the leader");
    let wanted = DeployRequest {
        files: entries(&selection),
        variables: request.variables.clone(),
        dry_run: request.dry_run,
        detach: request.detach,
    };
    // Not retried: once accepted, the cluster runs the deployment whatever happens to this client.
    let taken = client.call_once(|mut control| async move { control.deploy(wanted).await });
    let mut output = tokio::time::timeout(TAKEN_WITHIN, taken).await.map_err(|_| {
        Failure::new(
            ExitStatus::Unreachable,
            format!("the leader did not answer within {TAKEN_WITHIN:?}: outcome unknown"),
        )
        .hint("`disco deployments` shows whether the deployment started")
    })??;
    let mut deployed = Deployed { id: 0, files, result: Value::Null };
    loop {
        let part = match output.message().await {
            Ok(Some(DeployOutput { output: Some(part) })) => part,
            Ok(Some(DeployOutput { output: None })) => continue,
            Ok(None) if request.detach || request.dry_run => {
                task.done("accepted");
                return Ok(deployed);
            }
            Ok(None) => return Err(lost("the leader closed the connection", deployed.id)),
            Err(status) => {
                return Err(lost("the connection to the leader was lost", deployed.id).because(&from_status(&status)));
            }
        };
        match part {
            Output::Started(started) => {
                deployed.id = started.deployment;
                task.state(&format!("deployment {} runs on node {}", started.deployment, started.leader));
            }
            Output::Line(line) => context.printer.script_line(context.settings.verbose > 0, &line.level, &line.text),
            Output::Finished(finished) => return ended(finished, deployed, task),
        }
    }
}

fn ended(finished: disco_proto::v1::deploy_output::Finished, mut deployed: Deployed, task: Task) -> Outcome<Deployed> {
    if !finished.succeeded {
        task.failed(&format!("deployment {} failed", deployed.id));
        return Err(match finished.failure {
            Some(failure) => from_wire(status_of_code(&failure.code), failure),
            // Not the script's failure: its leader was lost, or the cluster could not record the end.
            None => Failure::failed(finished.error),
        });
    }
    if !finished.result.is_empty() {
        deployed.result = serde_json::from_str(&finished.result)
            .map_err(|error| Failure::failed("cannot parse the hook's return value").because(&error))?;
    }
    task.done(&match deployed.id {
        0 => "checked".to_owned(),
        id => format!("deployment {id} done"),
    });
    Ok(deployed)
}

/// The exit status of a hook's failure, by the code of its error: the same as for a script that runs here.
fn status_of_code(code: &str) -> ExitStatus {
    match ErrorCode::ALL.iter().find(|known| known.as_str() == code) {
        Some(ErrorCode::NotAllowed) => ExitStatus::Denied,
        Some(ErrorCode::Unavailable) => ExitStatus::Unreachable,
        Some(ErrorCode::Refused) => ExitStatus::Guarded,
        Some(ErrorCode::NotFound) => ExitStatus::NotFound,
        Some(ErrorCode::RolledBack) => ExitStatus::RolledBack,
        Some(ErrorCode::Failed | ErrorCode::Cancelled) => ExitStatus::Failed,
        Some(ErrorCode::Timeout) => ExitStatus::TimedOut,
        // Thrown by the script itself, too: it has no code, or one of its own.
        _ => ExitStatus::Usage,
    }
}

fn lost(what: &str, deployment: u64) -> Failure {
    let hint = "`disco deployments` shows its state: it continues unless its leader was lost; one that failed with its leader is \
                repeated with `disco deploy`";
    Failure::new(ExitStatus::Unreachable, format!("{what} during deployment {deployment}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_the_script_is_one_of_usage() {
        for code in ["", "OF_THE_SCRIPT", "INVALID"] {
            assert_eq!(status_of_code(code), ExitStatus::Usage, "{code}");
        }
        assert_eq!(status_of_code("FAILED"), ExitStatus::Failed);
        assert_eq!(status_of_code("TIMEOUT"), ExitStatus::TimedOut);
        assert_eq!(status_of_code("ROLLED_BACK"), ExitStatus::RolledBack);
    }
}
