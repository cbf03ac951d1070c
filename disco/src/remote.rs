//! SSH access to the machines of a cluster with the operator's key, and `disco node ssh`: a shell or a command on a machine.

use disco_proto::v1::NodeStatus;
use disco_provider::{
    Machine, MachineState,
    install::{Owner, Remote},
    ssh::{Session, Status, quote},
};

use crate::{
    client::{Client, not_created},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{
        Founder, OperatorKey, Sessions, install_failure, operator_key, provider_failure, recorded_provider, ssh_failure,
    },
    project::{ClusterRecord, Project},
};

/// Shells report 128 plus the signal's number. SSH reports only the signal's name, so this is always the code of SIGKILL.
const KILLED: u8 = 137;

pub(crate) async fn run(context: &Context, named: &str, command: &[String]) -> Outcome<ExitStatus> {
    let session = connect(context, named).await?;
    let command = match command {
        [] => None,
        // As with `ssh`, a single argument is a whole command line; several are its words.
        [line] => Some(line.clone()),
        words => Some(words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")),
    };
    let status = session.interactive(command.as_deref()).await.map_err(|error| ssh_failure(&error))?;
    Ok(match status {
        Status::Code(0) => ExitStatus::Done,
        Status::Code(code) => ExitStatus::Program(u8::try_from(code).unwrap_or(u8::MAX)),
        Status::Signal(_) => ExitStatus::Program(KILLED),
    })
}

/// Reads the last lines of a daemon's log on its machine. `node` is the node's status, if the cluster answers.
pub(crate) async fn log(context: &Context, named: &str, node: Option<NodeStatus>, lines: u32) -> Outcome<String> {
    let node = node.ok_or_else(|| Failure::new(ExitStatus::NotFound, format!("no machine `{named}`")));
    let session = connect_to(context, named, node).await?;
    let failed = |error| install_failure(named, &error);
    let remote = Remote::probe(session).await.map_err(failed)?;
    remote.fetch_log(usize::try_from(lines).unwrap_or(usize::MAX)).await.map_err(failed)
}

async fn connect(context: &Context, named: &str) -> Outcome<Session> {
    // First, as the status names machines that this project's scripts do not.
    let node = Client::open(context)?.node(named).await;
    connect_to(context, named, node).await
}

async fn connect_to(context: &Context, named: &str, node: Outcome<NodeStatus>) -> Outcome<Session> {
    let machines = Machines::open(context).await?;
    let listed = machines.list().await?;
    machines.connect(machine_of(node, named, &listed)?).await
}

/// The machines of the project's cluster, as the operator reaches them.
pub(crate) struct Machines {
    project: Project,
    record: ClusterRecord,
    key: OperatorKey,
    sessions: Sessions,
}

impl Machines {
    pub(crate) async fn open(context: &Context) -> Outcome<Self> {
        let project = context.project()?;
        let record = ClusterRecord::load(&project.state())?.ok_or_else(|| not_created(project.root()))?;
        let key = operator_key(&project, &record).await?;
        Ok(Self { project, record, key, sessions: Sessions::default() })
    }

    /// The hosts of a script whose cluster does not exist yet; `None` if its machines are no given hosts.
    pub(crate) async fn planned(founder: &Founder) -> Option<Self> {
        let (project, record, key) = founder.planned_hosts().await?;
        Some(Self { project, record, key, sessions: Sessions::default() })
    }

    /// The cluster that owns the machines.
    pub(crate) fn owner(&self) -> Owner {
        self.record.owner()
    }

    /// Lists the provider's machines, including those of the last known nodes.
    pub(crate) async fn list(&self) -> Outcome<Vec<Machine>> {
        let provider = recorded_provider(&self.project, &self.record)?;
        provider.list().await.map_err(|error| provider_failure(&error))
    }

    pub(crate) async fn connect(&self, machine: &Machine) -> Outcome<Session> {
        // The connection may pin a host key there.
        self.project.state().ensure()?;
        let connected = self.sessions.connect(&self.project, machine, &self.key, machine.connect_options()).await;
        connected.map_err(|error| ssh_failure(&error))
    }
}

/// Finds a node's machine by the node's status or, if the cluster does not answer, by the machine's own name or id: that is when
/// the operator needs it most.
fn machine_of<'a>(node: Outcome<NodeStatus>, named: &str, machines: &'a [Machine]) -> Outcome<&'a Machine> {
    let by = |id: &str| machines.iter().find(|machine| machine.id == id);
    let wanted = match node {
        Ok(node) => by(&node.instance),
        Err(failure) => {
            let direct = machines.iter().find(|machine| machine.id == named || machine.name == named);
            return direct.ok_or(failure);
        }
    };
    match wanted {
        Some(machine) if machine.state == MachineState::Running => Ok(machine),
        Some(machine) => Err(Failure::failed(format!("the machine of `{named}` is {}", machine.state))
            .hint("`disco bootstrap` restarts and repairs what is down")),
        None => Err(Failure::new(ExitStatus::NotFound, format!("the provider has no machine for `{named}`"))),
    }
}
