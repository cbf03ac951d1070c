use std::time::Duration;

use disco_provider::{Machine, MachineState, install::Remote};
use futures_util::future::join_all;

use super::Check;
use crate::{
    context::Context,
    error::{Failure, Outcome},
    founding::failing,
    project::Addresses,
    remote::Machines,
};

/// Time limit per machine: `doctor` names a machine that does not answer instead of waiting for it.
const LIMIT: Duration = Duration::from_secs(10);

/// Finds daemons that keep crashing, from their supervisors' records. Call it only for an unhealthy cluster: it logs in to each machine.
pub(super) async fn check(context: &Context) -> Vec<Check> {
    let looked = async {
        let machines = Machines::open(context).await?;
        // A given host that is not a node runs no daemon, and may be off.
        let known = Addresses::load(&context.project()?.state())?;
        let is_node =
            |machine: &Machine| known.nodes.is_empty() || known.nodes.iter().any(|node| node.machine == machine.id);
        let running: Vec<Machine> = machines
            .list()
            .await?
            .into_iter()
            .filter(|machine| machine.state == MachineState::Running && is_node(machine))
            .collect();
        Ok::<_, Failure>(join_all(running.iter().map(|machine| look(&machines, machine))).await)
    };
    match looked.await {
        Ok(checks) => checks.into_iter().flatten().collect(),
        Err(failure) => vec![Check::failure("daemons", &failure)],
    }
}

async fn look(machines: &Machines, machine: &Machine) -> Option<Check> {
    let asked = async {
        let session = machines.connect(machine).await?;
        let probed = Remote::probe(session).await;
        let remote = probed.map_err(|error| {
            Failure::failed(format!("cannot inspect the daemon of `{}`", machine.name)).because(&error)
        })?;
        failing(&remote, &machine.name).await
    };
    let asked: Outcome<_> = match tokio::time::timeout(LIMIT, asked).await {
        Ok(asked) => asked,
        Err(_) => {
            return Some(
                Check::doubtful("daemons", format!("`{}` did not answer within {LIMIT:?}", machine.name))
                    .next(format!("`disco node ssh {}`", machine.name)),
            );
        }
    };
    match asked {
        Ok(failing) => failing.map(|failure| Check::failure("daemons", &failure)),
        // The cluster's check already reports the node as unhealthy.
        Err(failure) => Some(Check::doubtful("daemons", failure.message().to_owned())),
    }
}
