//! Bringing back nodes whose certificates have expired.
//!
//! Such a node is heard by nobody, so nothing can be asked of it but over SSH: it shows the certificate that it has and a
//! signing request for the same key, the root certifies that key anew, and the daemon takes the certificate up while it runs.
//! No key leaves a node. What is left is done online: a signing key that has expired too is replaced, and the nodes get
//! certificates by it in place of the root's.
//!
//! Every step may be repeated: a node whose certificate is good is left alone.

use std::time::Duration;

use disco_identity::{Authority, CertificateInfo, NODE_LIFETIME, Phase, Validity, unix_now};
use disco_provider::{
    Instance, InstanceState,
    install::{InstallError, Refusal, Remote},
    ssh::{ConnectOptions, KeyPair, Session},
};
use futures_util::future::join_all;
use serde::Deserialize;

use super::{
    authority::{ensure_operator, require_root},
    destroy::recorded_provider,
    founder::provider_failure,
    host_key_policy, operator_key, replace_signing_key,
    sessions::ssh_failure,
};
use crate::{
    client::{Client, Shows, known_node, rfc3339},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::Task,
    project::{Addresses, ClusterRecord, KnownNode, Lock, Project},
};

/// Time for the nodes to find each other again and elect a leader.
const PATIENCE: Duration = Duration::from_secs(60);
/// A machine whose clock is farther off would not accept its own new certificate, or soon not.
const CLOCK_OFF: u64 = 5 * 60;

/// What `discod identity show` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct NodeIdentity {
    cluster_id: String,
    pub(crate) node_id: u64,
    pub(crate) name: String,
    certificate_chain: String,
    signing_request: String,
    /// Of the machine's clock, in seconds since 1970.
    time: u64,
}

impl NodeIdentity {
    /// Reads what a node has printed.
    pub(crate) fn read(text: &str) -> Outcome<Self> {
        serde_json::from_str(text)
            .map_err(|error| Failure::usage("this is not what `discod identity show` prints").because(&error))
    }

    /// A certificate for the same node and key, by the root.
    pub(crate) fn certify(&self, root: &Authority) -> Outcome<String> {
        let validity = Validity::lasting(NODE_LIFETIME);
        let chain = root.renew_node(&self.certificate_chain, &self.signing_request, validity);
        chain.map_err(|error| {
            Failure::failed(format!("cannot certify node {} `{}`", self.node_id, self.name)).because(&error)
        })
    }

    /// Where in its life the chain is, as far as it has come.
    fn phase(&self) -> Outcome<Phase> {
        let chain = CertificateInfo::chain_from_pem(&self.certificate_chain).map_err(|error| {
            Failure::failed(format!("the certificate of `{}` cannot be read", self.name)).because(&error)
        })?;
        let now = unix_now();
        Ok(chain.iter().map(|certificate| certificate.validity.phase(now)).max().unwrap_or(Phase::Expired))
    }
}

/// Gives new certificates to the nodes whose ones have expired, and waits until the cluster answers. The connection to it;
/// none in a dry run.
pub(crate) async fn bring_back(context: &Context, named: &[String], dry_run: bool) -> Outcome<Option<Client>> {
    let project = context.project()?;
    let state = project.state();
    let record = ClusterRecord::load(&state)?.ok_or_else(|| {
        Failure::new(ExitStatus::NotFound, "no cluster was created from this project yet")
            .hint("create it with `disco bootstrap`")
    })?;
    let root = require_root(&state)?;
    let _lock = if dry_run { None } else { Some(Lock::take(&state, "cert rotate --expired")?) };
    let provider = recorded_provider(&project, &record)?;
    let machines = provider.list().await.map_err(|error| provider_failure(&error))?;
    let known = Addresses::load(&state)?;
    let key = operator_key(&project, &record)?;
    let identity = if dry_run { None } else { Some(ensure_operator(&state, &root)?) };
    let mut addresses = context.settings.addresses.clone();
    addresses.extend(known.all());
    addresses.extend(machines.iter().flat_map(Instance::control_addresses));
    let client = match identity {
        Some(identity) => Client::new(identity, state, addresses),
        None => Client::open(context)?,
    };
    let work = Comeback { context, project: &project, record, root, known: known.nodes, key, client, named, dry_run };
    work.run(&machines).await
}

struct Comeback<'a> {
    context: &'a Context,
    project: &'a Project,
    record: ClusterRecord,
    root: Authority,
    /// The members, as they were seen last.
    known: Vec<KnownNode>,
    key: KeyPair,
    client: Client,
    named: &'a [String],
    dry_run: bool,
}

impl Comeback<'_> {
    async fn run(self, machines: &[Instance]) -> Outcome<Option<Client>> {
        let visits = join_all(machines.iter().map(|machine| self.visit(machine))).await;
        let failures: Vec<Failure> = visits.into_iter().filter_map(Result::err).collect();
        if !self.dry_run {
            // Some may be enough for a quorum.
            let back = self.online().await;
            if failures.is_empty() {
                back?;
            }
        }
        let Some(first) = failures.first() else { return Ok((!self.dry_run).then_some(self.client)) };
        let text = format!("{} of {} machines were not looked after", failures.len(), machines.len());
        let all = Failure::new(first.status(), text).hint("bring them up, then run the command again");
        Err(failures.iter().fold(all, |all, one| {
            let causes = one.causes().iter().map(|cause| format!(": {cause}")).collect::<String>();
            all.cause(format!("{}{causes}", one.message()))
        }))
    }

    async fn visit(&self, machine: &Instance) -> Outcome<()> {
        let task = self.context.printer.task(&machine.name);
        match self.look_after(machine, &task).await {
            Ok(done) => task.done(&done),
            Err(failure) => {
                task.failed(failure.message());
                return Err(failure);
            }
        }
        Ok(())
    }

    /// What was done, in words.
    async fn look_after(&self, machine: &Instance, task: &Task) -> Outcome<String> {
        match machine.state {
            InstanceState::Running => {}
            InstanceState::Terminated | InstanceState::Gone => return Ok("is no more".to_owned()),
            InstanceState::Pending | InstanceState::Stopped => {
                return Err(Failure::failed(format!("the machine `{}` is {}", machine.name, machine.state))
                    .cause("`disco bootstrap` starts it"));
            }
        }
        task.state("connecting");
        let policy = host_key_policy(self.project, machine);
        let session = Session::connect(&machine.ssh, &self.key, &policy, ConnectOptions::default()).await;
        let session = session.map_err(|error| ssh_failure(&error))?;
        let failed = |error: InstallError| {
            Failure::failed(format!("cannot give `{}` a new certificate", machine.name)).because(&error)
        };
        let remote = Remote::probe(session).await.map_err(failed)?;
        let remote = match remote.permit(self.record.owner()).await {
            Ok(remote) => remote,
            Err(InstallError::Refused { refusal: Refusal::AnotherCluster { .. }, .. }) => {
                return Ok("belongs to another cluster, left as it is".to_owned());
            }
            Err(error) => return Err(failed(error)),
        };
        let Some(text) = remote.identity().await.map_err(failed)? else {
            return Ok("is no node, left as it is".to_owned());
        };
        let node = NodeIdentity::read(&text)?;
        if node.cluster_id != self.record.id {
            return Ok("belongs to another cluster, left as it is".to_owned());
        }
        if !self.named.is_empty()
            && !self.named.iter().any(|name| *name == node.name || *name == node.node_id.to_string())
        {
            return Ok("was not named, left as it is".to_owned());
        }
        if node.phase()? != Phase::Expired {
            return Ok("its certificate is good".to_owned());
        }
        // The root knows no members; whoever was removed must not come back unnoticed.
        if self.named.is_empty() && !self.known.iter().any(|known| known.id == node.node_id) {
            self.context.printer.warn(&format!(
                "node {} `{}` was not a member when the cluster was last seen from here, and gets no certificate; if it is \
                 one: `disco cert rotate --expired {}`",
                node.node_id, node.name, node.name
            ));
            return Ok("no known member, left as it is".to_owned());
        }
        let now = unix_now();
        if node.time.abs_diff(now) > CLOCK_OFF {
            let clocks = format!("its clock says {}, this one {}", rfc3339(node.time), rfc3339(now));
            return Err(Failure::failed(format!("the clock of `{}` is wrong", machine.name))
                .cause(clocks)
                .cause("certificates depend on clocks: set them by NTP"));
        }
        if self.dry_run {
            return Ok("would get a new certificate".to_owned());
        }
        task.state("giving it a new certificate");
        let chain = node.certify(&self.root)?;
        remote.renew_identity(&chain).await.map_err(failed)?;
        self.wait_until_served(machine, &node).await
    }

    async fn wait_until_served(&self, machine: &Instance, node: &NodeIdentity) -> Outcome<String> {
        let place = KnownNode {
            id: node.node_id,
            name: node.name.clone(),
            address: machine.control_address,
            public: machine.public_address,
            instance: machine.id.clone(),
            ssh: String::new(),
        };
        // In a cluster that lives it soon has a further one, from the leader.
        match self.client.shows(&place, |leaf| leaf.validity.phase(unix_now()) < Phase::Expired).await {
            Shows::Wished => Ok(format!("node {} has a new certificate", node.node_id)),
            // Not every node can be reached from here.
            Shows::Nothing => {
                Ok(format!("node {} was given a new certificate, and cannot be reached from here", node.node_id))
            }
            Shows::Other => Err(Failure::failed(format!("`{}` does not use its new certificate", node.name))
                .cause(format!("`disco node ssh {}` lets you look at its log", machine.name))),
        }
    }

    /// What is done once the nodes talk to each other again.
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
            // Who cannot be reached asks for itself when it is back.
            if self.client.look_at(&node).await.is_ok_and(|chain| replaced || chain.len() == 1) {
                self.client.renew_node(&node).await?;
            }
        }
        task.done(if replaced { "answers, with a new signing key" } else { "answers" });
        Ok(())
    }
}
