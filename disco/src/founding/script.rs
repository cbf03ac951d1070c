use std::time::Duration;

use disco_proto::v1::{PushScriptRequest, PushScriptResponse};

use crate::{
    client::{Client, entries},
    error::Outcome,
    exit::ExitStatus,
    printer::Printer,
    project::Project,
};

/// Time for all nodes to load the version, before the leader answers.
const LOADED_WITHIN: Duration = Duration::from_secs(60);

/// Sends `cluster.js` with its imports. Idempotent: the version is identified by its hash.
pub(crate) async fn push_script(
    client: &Client,
    project: &Project,
    printer: &Printer,
    dry_run: bool,
) -> Outcome<PushScriptResponse> {
    let selection = project.script_files()?;
    let task = printer.task("cluster.js");
    client.upload(&selection, &task).await?;
    task.state("loading on all nodes");
    let request = PushScriptRequest { files: entries(&selection), dry_run };
    let pushed = client
        .call_within(LOADED_WITHIN, |mut control| {
            let request = request.clone();
            async move { control.push_script(request).await }
        })
        .await;
    match pushed {
        Ok(pushed) => {
            let hash = pushed.script.get(..19).unwrap_or(&pushed.script);
            task.done(&match (dry_run, pushed.changed) {
                (true, true) => format!("would be replaced by {hash}"),
                (false, true) => format!("in use: {hash}"),
                (_, false) => format!("unchanged: {hash}"),
            });
            Ok(pushed)
        }
        Err(failure) => {
            task.failed(match failure.status() {
                ExitStatus::Usage => "refused, the previous version stays in use",
                _ => "outcome unknown",
            });
            Err(failure)
        }
    }
}
