use std::{sync::Arc, time::Duration};

use disco_provider::{Instance, InstanceState, Provider};
use futures_util::future::join_all;

use super::founder::{provider_failure, provider_of};
use crate::{
    app::Context,
    error::{Failure, Outcome},
    project::{ClusterRecord, Project},
};

/// A machine that the cluster was just starting may appear while the others end: it is looked for until there are none.
const ROUNDS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);

/// The provider that the cluster was made with, without running any script.
pub(crate) fn recorded_provider(project: &Project, record: &ClusterRecord) -> Outcome<Arc<dyn Provider>> {
    let kind = record.provider["kind"].as_str().unwrap_or_default();
    provider_of(project, &record.name, kind, &record.provider["options"])
}

/// What `destroy` would end, in words.
pub(crate) async fn remains(context: &Context) -> Outcome<Vec<String>> {
    let project = context.project()?;
    let Some(record) = ClusterRecord::load(&project.state())? else { return Ok(Vec::new()) };
    let provider = recorded_provider(&project, &record)?;
    Ok(alive(provider.as_ref()).await?.iter().map(|one| format!("machine {} ({})", one.id, one.name)).collect())
}

/// Ends every machine of the cluster, whether or not it answers, and removes the project's state.
pub(crate) async fn destroy(context: &Context) -> Outcome<()> {
    let project = context.project()?;
    let state = project.state();
    if let Some(record) = ClusterRecord::load(&state)? {
        let provider = recorded_provider(&project, &record)?;
        end_machines(context, provider.as_ref()).await?;
    }
    let task = context.printer.task("project");
    match fs_err::remove_dir_all(state.path()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::failed("cannot remove the project's state").because(&error)),
    }
    task.done("state removed");
    Ok(())
}

async fn end_machines(context: &Context, provider: &dyn Provider) -> Outcome<()> {
    for round in 0..ROUNDS {
        let machines = alive(provider).await?;
        if machines.is_empty() {
            return Ok(());
        }
        if round > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        let ends = join_all(machines.iter().map(|machine| end(context, provider, machine))).await;
        ends.into_iter().collect::<Outcome<()>>()?;
    }
    Err(Failure::failed("machines keep appearing while the cluster is ended").hint("run `disco destroy` again"))
}

async fn end(context: &Context, provider: &dyn Provider, machine: &Instance) -> Outcome<()> {
    let task = context.printer.task(&machine.name);
    task.state("ending");
    match provider.terminate(&machine.id).await {
        Ok(()) => {
            task.done(&format!("machine {} ended", machine.id));
            Ok(())
        }
        Err(error) => {
            task.failed("not ended");
            Err(Failure::new(provider_failure(&error).status(), format!("cannot end machine `{}`", machine.id))
                .because(&error))
        }
    }
}

async fn alive(provider: &dyn Provider) -> Outcome<Vec<Instance>> {
    let mut machines = provider.list().await.map_err(|error| provider_failure(&error))?;
    machines.retain(|machine| !matches!(machine.state, InstanceState::Terminated | InstanceState::Gone));
    Ok(machines)
}
