//! Changes of what shall run: one request to the leader, then the way to its end.

use std::time::Duration;

use disco_proto::v1::{
    ChangeWorkloadsRequest, ChangeWorkloadsResponse, WorkloadChange, change_workloads_request::Change,
};
use disco_store::typed::DeploymentState;
use serde_json::{Value, json};

use super::follow::{End, Scope, follow};
use crate::{
    cli::{ChangeArgs, Format},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Style, View},
};

/// Time for the leader to accept a change: it writes one transaction.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

/// Sends a change. It may be sent again when an answer is lost: what already is as it shall be changes nothing.
pub(crate) async fn change(client: &Client, change: Change, dry_run: bool) -> Outcome<ChangeWorkloadsResponse> {
    let request = ChangeWorkloadsRequest { dry_run, change: Some(change) };
    client
        .call_within(TAKEN_WITHIN, |mut control| {
            let request = request.clone();
            async move { control.change_workloads(request).await }
        })
        .await
}

/// The result of a change.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// The deployment that carried it out, or that is in place.
    pub(crate) deployment: u64,
    pub(crate) stack: String,
    /// As of a deployment; `running` with `--detach`.
    pub(crate) state: &'static str,
    pub(crate) changes: Vec<WorkloadChange>,
}

impl View for Changed {
    fn json(&self) -> Value {
        let changes: Vec<Value> = self
            .changes
            .iter()
            .map(|change| {
                json!({ "stack": change.stack, "service": change.service, "change": change.change, "detail": change.detail })
            })
            .collect();
        json!({ "deployment": self.deployment, "stack": self.stack, "state": self.state, "changes": changes })
    }

    fn rows(&self) -> Vec<Value> {
        vec![self.json()]
    }

    fn names(&self) -> Vec<String> {
        vec![self.deployment.to_string()]
    }

    fn text(&self, _style: Style) -> String {
        String::new()
    }
}

/// What a change would do, one line for each service that it concerns.
pub(crate) fn describe(changes: &[WorkloadChange]) -> Vec<String> {
    let described = changes.iter().filter(|change| change.change != "unchanged").map(|change| {
        let verb = match change.change.as_str() {
            "created" => "create",
            "updated" => "update",
            "scaled" => "scale",
            "restarted" => "restart",
            "stopped" => "stop",
            "removed" => "remove",
            other => other,
        };
        let detail = if change.detail.is_empty() { String::new() } else { format!(": {}", change.detail) };
        format!("{verb} `{}/{}`{detail}", change.stack, change.service)
    });
    described.collect()
}

/// Follows a change that the leader has accepted, and shows its result.
pub(crate) async fn finish(
    client: &Client,
    context: &Context,
    args: ChangeArgs,
    answer: ChangeWorkloadsResponse,
    scope: &Scope,
) -> Outcome<ExitStatus> {
    let mut changed =
        Changed { deployment: scope.deployment, stack: scope.stack.clone(), state: "running", changes: answer.changes };
    if args.detach {
        context.printer.show(&changed)?;
        return Ok(ExitStatus::Done);
    }
    let (end, failure) = follow(client, context, scope).await?;
    changed.state = match end {
        End::Succeeded => "succeeded",
        End::Failed(DeploymentState::RolledBack) => "rolled_back",
        End::Failed(_) => "failed",
    };
    // A program that reads the result needs the number of a failed deployment, too.
    if end == End::Succeeded || matches!(context.printer.format(), Format::Json | Format::Jsonl) {
        context.printer.show(&changed)?;
    }
    match (end, failure) {
        (End::Succeeded, _) => Ok(ExitStatus::Done),
        (End::Failed(_), Some(failure)) => Err(failure),
        (End::Failed(_), None) => Err(Failure::failed(format!("the change of `{}` failed", scope.stack))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_names_what_would_change_and_not_what_stays() {
        let of = |service: &str, change: &str, detail: &str| WorkloadChange {
            stack: "shop".to_owned(),
            service: service.to_owned(),
            change: change.to_owned(),
            detail: detail.to_owned(),
            ..WorkloadChange::default()
        };
        let changes = [of("web", "scaled", "3 copies, were 2"), of("store", "unchanged", ""), of("old", "removed", "")];
        assert_eq!(describe(&changes), ["scale `shop/web`: 3 copies, were 2", "remove `shop/old`"]);
    }
}
