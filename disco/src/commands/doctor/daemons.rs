use std::time::Duration;

use disco_provider::{Instance, InstanceState, install::Remote};
use futures_util::future::join_all;

use super::Check;
use crate::{context::Context, error::Outcome, founding::failing, remote::Machines};

/// The limit for one machine: `doctor` answers at once or says which machine did not.
const LIMIT: Duration = Duration::from_secs(10);

/// Daemons that do not stay up, by what their supervisors recorded. Call it only for a cluster that is not healthy: each machine costs a log-in.
pub(super) async fn check(context: &Context) -> Vec<Check> {
    let looked = async {
        let machines = Machines::open(context)?;
        let running = machines.list().await?.into_iter().filter(|machine| machine.state == InstanceState::Running);
        let running: Vec<Instance> = running.collect();
        Ok::<_, crate::error::Failure>(join_all(running.iter().map(|machine| look(&machines, machine))).await)
    };
    match looked.await {
        Ok(checks) => checks.into_iter().flatten().collect(),
        Err(failure) => vec![Check::failure("daemons", &failure)],
    }
}

async fn look(machines: &Machines, machine: &Instance) -> Option<Check> {
    let asked = async {
        let session = machines.connect(machine).await?;
        let probed = Remote::probe(session).await;
        let remote = probed.map_err(|error| crate::founding::install_failure(&machine.name, &error))?;
        failing(&remote, &machine.name).await
    };
    let asked: Outcome<_> = match tokio::time::timeout(LIMIT, asked).await {
        Ok(asked) => asked,
        Err(_) => return Some(Check::doubtful("daemons", format!("`{}` was not looked at in time", machine.name))),
    };
    match asked {
        Ok(failing) => failing.map(|failure| Check::failure("daemons", &failure)),
        Err(failure) => Some(Check::failure("daemons", &failure)),
    }
}
