//! Renews expired node certificates over SSH.
//!
//! All peers refuse a node with an expired certificate, so SSH is the only way to it: the node prints its certificate and a signing
//! request for the same key, the root signs a new certificate, and the running daemon loads it. No key leaves a node. The rest
//! happens online: the leader replaces an expired signing key, and the nodes get certificates signed with it instead of the root's.
//!
//! Every step is idempotent: a node with a valid certificate is skipped.

use std::time::Duration;

use disco_identity::{Authority, CertificateInfo, NODE_LIFETIME, Phase, Validity, unix_now};
use disco_provider::{
    Machine, MachineState,
    install::{InstallError, Refusal, Remote},
};
use futures_util::future::join_all;
use serde::Deserialize;

use super::{
    OperatorKey,
    authority::{ensure_operator, require_root},
    destroy::recorded_provider,
    founder::provider_failure,
    operator_key, replace_signing_key,
    sessions::{Sessions, ssh_failure},
};
use crate::{
    client::{Client, Shows, known_node, not_created, rfc3339},
    context::Context,
    error::{Failure, Outcome},
    printer::Task,
    project::{Addresses, ClusterRecord, KnownNode, Lock, Project},
};

/// Time for the nodes to find each other again and elect a leader.
const PATIENCE: Duration = Duration::from_secs(60);
/// A machine whose clock is off by more would reject its own new certificate, now or soon.
const CLOCK_OFF: u64 = 5 * 60;

/// The output of `discod identity show`.
#[derive(Debug, Deserialize)]
pub(crate) struct NodeIdentity {
    cluster_id: String,
    pub(crate) node_id: u64,
    pub(crate) name: String,
    certificate_chain: String,
    signing_request: String,
    /// The machine's clock, in seconds since 1970.
    time: u64,
}

impl NodeIdentity {
    /// Parses the output of a node.
    pub(crate) fn read(text: &str) -> Outcome<Self> {
        serde_json::from_str(text).map_err(|error| {
            Failure::usage("invalid input: expected the output of `discod identity show`").because(&error)
        })
    }

    /// Issues a certificate for the same node and key, signed by the root.
    pub(crate) fn certify(&self, root: &Authority) -> Outcome<String> {
        let validity = Validity::lasting(NODE_LIFETIME);
        let chain = root.renew_node(&self.certificate_chain, &self.signing_request, validity);
        chain.map_err(|error| {
            Failure::failed(format!("cannot issue a certificate for node {} `{}`", self.node_id, self.name))
                .because(&error)
        })
    }

    /// The phase of the certificate in the chain that is closest to its end.
    fn phase(&self) -> Outcome<Phase> {
        let chain = CertificateInfo::chain_from_pem(&self.certificate_chain).map_err(|error| {
            Failure::failed(format!("cannot parse the certificate of `{}`", self.name)).because(&error)
        })?;
        let now = unix_now();
        Ok(chain.iter().map(|certificate| certificate.validity.phase(now)).max().unwrap_or(Phase::Expired))
    }
}

/// What became of nodes with expired certificates.
pub(crate) enum Revival {
    /// A dry run: the steps that would be taken.
    Planned(Vec<String>),
    /// They are renewed, and the cluster answers over this connection.
    Done(Client),
}

/// Renews the certificates of nodes whose certificates have expired, and waits until the cluster answers.
pub(crate) async fn bring_back(context: &Context, named: &[String], dry_run: bool) -> Outcome<Revival> {
    let project = context.project()?;
    let state = project.state();
    let record = ClusterRecord::load(&state)?.ok_or_else(|| not_created(project.root()))?;
    let root = require_root(&state)?;
    let _lock = if dry_run { None } else { Some(Lock::take(&state, "cert rotate --expired")?) };
    let provider = recorded_provider(&project, &record)?;
    let machines = provider.list().await.map_err(|error| provider_failure(&error))?;
    let known = Addresses::load(&state)?;
    let key = operator_key(&project, &record).await?;
    let identity = if dry_run { None } else { Some(ensure_operator(&state, &root)?) };
    let mut addresses = context.settings.addresses.clone();
    addresses.extend(known.all());
    addresses.extend(machines.iter().flat_map(Machine::control_addresses));
    let client = match identity {
        Some(identity) => Client::new(identity, state, addresses, &context.printer),
        None => Client::open(context)?,
    };
    let work = Renewal {
        context,
        project: &project,
        record,
        root,
        known: known.nodes,
        key,
        sessions: Sessions::default(),
        client,
        named,
        dry_run,
    };
    work.run(&machines).await
}

/// What became of one machine.
enum Visit {
    /// Nothing is left to do; the outcome in words.
    Settled(String),
    /// The step that a dry run has left out.
    Would(String),
}

struct Renewal<'a> {
    context: &'a Context,
    project: &'a Project,
    record: ClusterRecord,
    root: Authority,
    /// The last known members.
    known: Vec<KnownNode>,
    key: OperatorKey,
    sessions: Sessions,
    client: Client,
    named: &'a [String],
    dry_run: bool,
}

impl Renewal<'_> {
    async fn run(self, machines: &[Machine]) -> Outcome<Revival> {
        let visits = join_all(machines.iter().map(|machine| self.visit(machine))).await;
        let (mut steps, mut failures) = (Vec::new(), Vec::new());
        for visit in visits {
            match visit {
                Ok(Visit::Settled(_)) => {}
                Ok(Visit::Would(step)) => steps.push(step),
                Err(failure) => failures.push(failure),
            }
        }
        if !self.dry_run {
            // Even if some machines failed, the others may have a quorum.
            let back = self.online().await;
            if failures.is_empty() {
                back?;
            }
        }
        let Some(first) = failures.first() else {
            return Ok(if self.dry_run { Revival::Planned(steps) } else { Revival::Done(self.client) });
        };
        let text = format!("{} of {} machines could not be checked", failures.len(), machines.len());
        let all = Failure::new(first.status(), text).hint("repair these machines, then run the command again");
        Err(failures.iter().fold(all, |all, one| {
            let causes = one.causes().iter().map(|cause| format!(": {cause}")).collect::<String>();
            all.cause(format!("{}{causes}", one.message()))
        }))
    }

    async fn visit(&self, machine: &Machine) -> Outcome<Visit> {
        let task = self.context.printer.task(&machine.name);
        let visit = self.renew(machine, &task).await;
        match &visit {
            Ok(Visit::Settled(outcome)) => task.done(outcome),
            // The step is printed with all others.
            Ok(Visit::Would(_)) => {}
            Err(failure) => task.failed(failure.message()),
        }
        visit
    }

    /// Renews the certificate of the node on this machine, if needed.
    async fn renew(&self, machine: &Machine, task: &Task) -> Outcome<Visit> {
        let settled = |outcome: &str| Ok(Visit::Settled(outcome.to_owned()));
        match machine.state {
            MachineState::Running => {}
            MachineState::Terminated | MachineState::Gone => return settled("the machine is gone"),
            MachineState::Pending | MachineState::Stopped => {
                return Err(Failure::failed(format!("the machine `{}` is {}", machine.name, machine.state))
                    .cause("`disco bootstrap` starts it"));
            }
        }
        task.state("connecting");
        let session = self.sessions.connect(self.project, machine, &self.key, machine.connect_options()).await;
        let session = session.map_err(|error| ssh_failure(&error))?;
        let failed = |error: InstallError| {
            Failure::failed(format!("cannot renew the certificate of `{}`", machine.name)).because(&error)
        };
        let remote = Remote::probe(session).await.map_err(failed)?;
        let remote = match remote.permit(self.record.owner()).await {
            Ok(remote) => remote,
            Err(InstallError::Refused { refusal: Refusal::AnotherCluster { .. }, .. }) => {
                return settled("belongs to another cluster, left as it is");
            }
            Err(error) => return Err(failed(error)),
        };
        let Some(text) = remote.identity().await.map_err(failed)? else {
            return settled("not a node, left as it is");
        };
        let node = NodeIdentity::read(&text)?;
        if node.cluster_id != self.record.id {
            return settled("belongs to another cluster, left as it is");
        }
        if !self.named.is_empty()
            && !self.named.iter().any(|name| *name == node.name || *name == node.node_id.to_string())
        {
            return settled("not named, left as it is");
        }
        if node.phase()? != Phase::Expired {
            return settled("its certificate is valid");
        }
        // The root does not know the members; a removed node must not return unnoticed.
        if self.named.is_empty() && !self.known.iter().any(|known| known.id == node.node_id) {
            self.context.printer.warn(&format!(
                "node {} `{}` was not a member when this project last saw the cluster, and gets no certificate; if it is a \
                 member, run `disco cert rotate --expired {}`",
                node.node_id, node.name, node.name
            ));
            return settled("not a known member, left as it is");
        }
        let now = unix_now();
        if node.time.abs_diff(now) > CLOCK_OFF {
            let clocks = format!("its time is {}, this computer's is {}", rfc3339(node.time), rfc3339(now));
            return Err(Failure::failed(format!("the clock of `{}` differs from this computer's", machine.name))
                .cause(clocks)
                .cause("certificates depend on clocks: synchronize both by NTP"));
        }
        if self.dry_run {
            return Ok(Visit::Would(format!("renew the certificate of node {} `{}`", node.node_id, node.name)));
        }
        task.state("renewing its certificate");
        let chain = node.certify(&self.root)?;
        remote.renew_identity(&chain).await.map_err(failed)?;
        self.wait_until_served(machine, &node).await.map(Visit::Settled)
    }

    async fn wait_until_served(&self, machine: &Machine, node: &NodeIdentity) -> Outcome<String> {
        let place = KnownNode {
            id: node.node_id,
            name: node.name.clone(),
            address: machine.control_address,
            public: machine.public_address,
            machine: machine.id.clone(),
            ssh: String::new(),
        };
        // Any unexpired certificate will do: in a live cluster, the leader may soon issue another one.
        match self.client.shows(&place, |leaf| leaf.validity.phase(unix_now()) < Phase::Expired).await {
            Shows::Expected => Ok(format!("node {} has a new certificate", node.node_id)),
            // Not every node can be reached from here.
            Shows::Nothing => {
                Ok(format!("node {} received a new certificate, but cannot be reached from here", node.node_id))
            }
            Shows::Other => Err(Failure::failed(format!("`{}` does not use its new certificate", node.name))
                .cause(format!("check its log with `disco node ssh {}`", machine.name))),
        }
    }

    /// Replaces the signing key and renews certificates, once the nodes accept each other again.
    async fn online(&self) -> Outcome<()> {
        let task = self.context.printer.task(&self.record.name);
        task.state("waiting for a leader");
        let status = self.client.with_patience(PATIENCE).settled().await?;
        let replaced = status.signing_key_stale;
        if replaced {
            task.state("replacing the signing key");
            replace_signing_key(&self.client, &self.root).await?;
        }
        task.state("renewing certificates");
        for node in status.nodes.iter().filter_map(known_node) {
            // A node that cannot be reached requests a certificate when it is back.
            if self.client.look_at(&node).await.is_ok_and(|chain| replaced || chain.len() == 1) {
                self.client.renew_node(&node).await?;
            }
        }
        task.done(if replaced { "answers, with a new signing key" } else { "answers" });
        Ok(())
    }
}
