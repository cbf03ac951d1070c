//! `cluster.ssh_install()`: the first machine becomes the first node, further machines join, and existing nodes are repaired.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use disco_proto::v1::{ConfigureRequest, CreateJoinTokenRequest};
use disco_provider::{
    Machine, MachineState, StartRequest,
    install::{Binaries, Boot, InstallError, NodeSettings, Permitted, Remote, ServiceState},
    ssh::{ConnectOptions, KeyPair},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    Founder, OperatorKey, authority,
    failing::{LOG_LINES, does_not_stay_up, failing, until_failing},
    founder::provider_failure,
    key_pair,
    progress::{TaskProgress, install_failure},
    sessions::ssh_failure,
};
use crate::{
    client::Client,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::Task,
    project::{Addresses, KnownNode},
};

/// Time for a new machine to answer SSH.
const BOOTED_WITHIN: Duration = Duration::from_secs(180);
/// Time for a started node to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Seconds until a join token expires, which is used right after it is created.
const TOKEN_LIFE: u32 = 15 * 60;
const BETWEEN: Duration = Duration::from_millis(50);

impl Founder {
    /// Installs Disco on the started machines, and waits until the cluster answers.
    pub(crate) async fn ssh_install(&self) -> Outcome<()> {
        let record = self.record()?;
        let own: Vec<String> = record.machines.iter().filter_map(|machine| machine.id.clone()).collect();
        if own.is_empty() && !record.founded {
            return Err(Failure::usage("`ssh_install` needs a machine: call `start_instance` first"));
        }
        let state = self.state();
        let root = authority::ensure_root(&state, &record)?;
        let identity = authority::ensure_operator(&state, &root)?;
        let work = Work { binaries: find_binaries(self.project.root()).await?, key: self.operator_key().await? };

        let machines = self.provider.list().await.map_err(|error| provider_failure(&error))?;
        let (mut own, others): (Vec<Machine>, Vec<Machine>) = machines
            .into_iter()
            .filter(alive)
            .map(|machine| self.named(machine, &own))
            .partition(|machine| own.contains(&machine.id));
        own.sort_by_key(|machine| record.machines.iter().position(|one| one.id.as_ref() == Some(&machine.id)));
        self.install_cluster_key(&work.key, &others).await;
        let mut own = own.into_iter();
        let Some(first) = own.next() else {
            // The leader has replaced all machines that this client started, and manages the new ones.
            return self.answering(&self.existing()?).await;
        };
        let client = Client::new(identity, state, self.addresses(&first)?, &self.context.printer);
        if record.founded {
            let outcomes = [self.install_first(&work, &first, &client, false).await, self.revive(&work, others).await];
            let down = self.skip_unreachable(outcomes)?;
            // The reachable nodes may be a quorum.
            if let Err(failure) = self.answering(&client).await {
                return Err(self.take_failing().or(down).unwrap_or(failure));
            }
        } else {
            self.install_first(&work, &first, &client, true).await?;
            self.configure(&client, &record.machines[0].options).await?;
            self.send_address_node().await?;
            self.update(|record| record.founded = true)?;
            authority::forget_intermediate(&self.state())?;
            key_pair::forget_cluster_key(&self.state())?;
        }
        self.join_rest(&work, own.collect(), &client).await?;
        self.take_failing().map_or(Ok(()), Err)
    }

    /// Warns of machines that cannot be reached, and returns the first such failure. Any other failure is an error.
    fn skip_unreachable(&self, outcomes: impl IntoIterator<Item = Outcome<()>>) -> Outcome<Option<Failure>> {
        let mut first = None;
        for failure in outcomes.into_iter().filter_map(Result::err) {
            if failure.status() != ExitStatus::Unreachable {
                return Err(failure);
            }
            self.context.printer.warn(&format!("{failure}: the machine is left as it is"));
            first.get_or_insert(failure);
        }
        Ok(first)
    }

    /// Installs the machine of node 1. Only if `found`, it receives the founder's identity.
    async fn install_first(&self, work: &Work, machine: &Machine, client: &Client, found: bool) -> Outcome<()> {
        let task = self.context.printer.task(&machine.name);
        let remote = self.connect(&work.key, Some(&work.binaries), machine, &task).await?;
        let settings = self.settings(machine, &remote, None);
        let progress = TaskProgress { task: &task };
        let installed = if found {
            let identity = self.first_identity(machine, settings.listen.ip())?;
            remote.install_first_node(&work.binaries, &settings, |request| identity.sign(request), &progress).await
        } else {
            remote.install_joining_node(&work.binaries, &settings, &progress).await
        };
        let installed = installed.map_err(|error| install_failure(&machine.name, &error))?;
        self.warn_of_boot(&machine.name, installed.boot);
        if found {
            task.state("waiting for its answer");
            self.wait_for_answer(client, &remote, machine).await?;
        } else if !installed.started
            && let Some(failure) = failing(&remote, &machine.name).await?
        {
            task.failed("keeps crashing");
            self.note_failing(failure);
            return Ok(());
        }
        task.done(if installed.started { "installed, runs" } else { "runs, nothing to do" });
        Ok(())
    }

    /// Installs and joins the further machines that this client started, all at once.
    async fn join_rest(&self, work: &Work, machines: Vec<Machine>, client: &Client) -> Outcome<()> {
        if machines.is_empty() {
            return Ok(());
        }
        let request = CreateJoinTokenRequest { ttl_seconds: TOKEN_LIFE, uses: machines.len() as u32 };
        let token = client.call(|mut control| async move { control.create_join_token(request).await }).await?.token;
        let members = client.settled().await?.nodes;
        let is_member = |machine: &Machine| members.iter().any(|node| node.instance == machine.id);
        let installs = machines.iter().map(|machine| async {
            let task = self.context.printer.task(&machine.name);
            let remote = match self.connect(&work.key, Some(&work.binaries), machine, &task).await {
                Ok(remote) => remote,
                Err(failure) if is_member(machine) => {
                    task.failed("cannot be reached");
                    return self.skip_unreachable([Err(failure)]).map(|_| ());
                }
                Err(failure) => return Err(failure),
            };
            let settings = self.settings(machine, &remote, Some(token.clone()));
            let installed = remote.install_joining_node(&work.binaries, &settings, &TaskProgress { task: &task }).await;
            let installed = installed.map_err(|error| install_failure(&machine.name, &error))?;
            self.warn_of_boot(&machine.name, installed.boot);
            task.state("waiting until it has joined");
            tokio::select! {
                biased;
                joined = self.joined(client, machine) => joined?,
                failure = until_failing(&remote, &machine.name) => {
                    task.failed("keeps crashing");
                    self.note_failing(failure);
                    return Ok(());
                }
            }
            task.done(if installed.started { "installed, joined" } else { "runs, nothing to do" });
            Ok(())
        });
        join_all(installs).await.into_iter().collect()
    }

    /// Warns of a daemon that would not start when its machine boots.
    fn warn_of_boot(&self, name: &str, boot: Boot) {
        if boot == Boot::Nobody {
            self.context.printer.warn(&format!(
                "the daemon of `{name}` does not start when its machine boots: neither systemd nor cron can be used; run \
                 `disco bootstrap` after a reboot, or install as root"
            ));
        }
    }

    /// Renames a given machine, whose name is a host name, to a node name like any other.
    fn named(&self, mut machine: Machine, own: &[String]) -> Machine {
        if let (false, Some(at)) =
            (self.provider.capabilities().can_terminate, own.iter().position(|id| *id == machine.id))
        {
            machine.name = format!("{}-{}", self.name, at + 1);
        }
        machine
    }

    /// Makes the script's hosts available to the cluster: sends it their list, and installs the cluster's key on them.
    pub(crate) async fn prepare_hosts(&self, client: &Client) -> Outcome<()> {
        if !self.gives_hosts() {
            return Ok(());
        }
        self.record_hosts()?;
        self.send_hosts(client).await?;
        let record = self.record()?;
        let own = |machine: &Machine| record.machines.iter().any(|one| one.id.as_ref() == Some(&machine.id));
        let mut machines = self.provider.list().await.map_err(|error| provider_failure(&error))?;
        machines.retain(|machine| !own(machine));
        self.install_cluster_key(&self.operator_key().await?, &machines).await;
        Ok(())
    }

    /// Installs the cluster's SSH key on given machines, as the leader installs the further nodes there itself.
    async fn install_cluster_key(&self, key: &OperatorKey, machines: &[Machine]) {
        if self.provider.capabilities().can_terminate || self.keys_installed.swap(true, Ordering::Relaxed) {
            return;
        }
        // Machines of nodes already have it.
        let nodes = Addresses::load(&self.state()).unwrap_or_default().nodes;
        let closed = machines.iter().filter(|machine| nodes.iter().all(|node| node.machine != machine.id));
        let opened = closed.map(|machine| async {
            let task = self.context.printer.task(&machine.name);
            match self.connect(key, None, machine, &task).await {
                Ok(_) => task.done("accepts the cluster's SSH key"),
                // Not an error: the machine may never be needed.
                Err(failure) => {
                    let causes: String = failure.causes().iter().map(|cause| format!(": {cause}")).collect();
                    task.failed(&format!("the cluster cannot use it: {failure}{causes}"));
                }
            }
        });
        join_all(opened).await;
    }

    /// Restarts machines that the leader started, and their services, if they are down: a cluster without quorum cannot. Installing
    /// them is left to the leader.
    async fn revive(&self, work: &Work, machines: Vec<Machine>) -> Outcome<()> {
        // Given hosts are all listed, whether or not the cluster uses them.
        if !self.provider.capabilities().can_terminate {
            return Ok(());
        }
        let keys = self.authorized_keys().await?;
        let revived = machines.into_iter().map(|machine| {
            let authorized_keys = keys.clone();
            async move {
                if machine.state != MachineState::Running {
                    let task = self.context.printer.task(&machine.name);
                    task.state("starting");
                    let request = StartRequest {
                        token: machine.token.clone(),
                        name: machine.name.clone(),
                        options: Value::Null,
                        authorized_keys,
                        ..StartRequest::default()
                    };
                    self.provider.start(request).await.map_err(|error| provider_failure(&error))?;
                    task.done("machine restarted");
                }
                let task = self.context.printer.task(&machine.name);
                let remote = self.connect(&work.key, Some(&work.binaries), &machine, &task).await?;
                let failed = |error: InstallError| install_failure(&machine.name, &error);
                match remote.service_state().await.map_err(failed)? {
                    ServiceState::Running => task.done("runs, nothing to do"),
                    ServiceState::Failing(reason) => {
                        task.failed("keeps crashing");
                        self.note_failing(does_not_stay_up(&remote, &machine.name, &reason).await);
                    }
                    ServiceState::Stopped => {
                        task.state("starting its service");
                        remote.start_service().await.map_err(failed)?;
                        task.done("restarted");
                    }
                    // The leader may be doing so at this moment.
                    ServiceState::Missing => task.done("not installed, left to the leader"),
                }
                Ok(())
            }
        });
        join_all(revived).await.into_iter().collect()
    }

    pub(super) async fn connect(
        &self,
        key: &OperatorKey,
        binaries: Option<&Binaries>,
        machine: &Machine,
        task: &Task,
    ) -> Outcome<Permitted> {
        task.state("connecting");
        // Only a new machine may still be booting; on any other, a refused connection is final.
        let options = if self.provider.capabilities().boots {
            ConnectOptions::booting(BOOTED_WITHIN)
        } else {
            machine.connect_options()
        };
        let session = self.sessions.connect(&self.project, machine, key, options).await;
        let session = session.map_err(|error| ssh_failure(&error))?;
        if machine.given_host_key.is_some() && session.host_key().first_use {
            self.context.printer.warn(&format!(
                "`{}` does not use the host key that it was given at its start: its current key is trusted from now on ({})",
                machine.name,
                session.host_key().fingerprint
            ));
        }
        let failed = |error: InstallError| install_failure(&machine.name, &error);
        let owner = self.record()?.owner_of(machine, binaries);
        let remote = Remote::probe(session).await.map_err(failed)?.permit(owner).await.map_err(failed)?;
        if !self.provider.capabilities().can_terminate {
            // A given machine accepts the operator's key, maybe with restrictions, but not yet the cluster's.
            let keys: Vec<String> = self.cluster_public_key()?.into_iter().collect();
            remote.authorize(&keys).await.map_err(failed)?;
        }
        Ok(remote)
    }

    fn settings(&self, machine: &Machine, remote: &Remote, join_token: Option<String>) -> NodeSettings {
        NodeSettings {
            listen: remote.listen_address(machine),
            advertise: machine.control_address,
            public_address: machine.public_address,
            name: machine.name.clone(),
            machine: Some(machine.id.clone()),
            pace: self.provider.capabilities().pace,
            join_token,
            labels: Default::default(),
            env: self.provider.node_environment(),
        }
    }

    /// The identity of the first node. All of it is written to this disk before it is sent.
    fn first_identity(&self, machine: &Machine, listen: std::net::IpAddr) -> Outcome<FirstIdentity> {
        let state = self.state();
        let record = self.record()?;
        let root = authority::ensure_root(&state, &record)?;
        let intermediate = authority::ensure_intermediate(&state, &root)?;
        let ssh = self.cluster_key()?.ok_or_else(|| Failure::failed("the cluster's key pair is missing"))?;
        let mut addresses = vec![machine.control_address.ip()];
        addresses.extend(machine.public_address);
        // Nodes in the same network connect to its own address.
        addresses.extend(Some(listen).filter(|ip| !ip.is_unspecified()));
        addresses.sort_unstable();
        addresses.dedup();
        Ok(FirstIdentity {
            cluster: record.name,
            id: record.id,
            name: machine.name.clone(),
            root,
            intermediate,
            ssh,
            addresses,
        })
    }

    /// Sends the cluster what it needs to start machines.
    async fn configure(&self, client: &Client, options: &Value) -> Outcome<()> {
        let request = ConfigureRequest {
            provider: self.provider_spec.to_string(),
            operator_public_key: self.operator_key().await?.public_openssh().unwrap_or_default().to_owned(),
            instance_options: options.to_string(),
            address_node: None,
        };
        client
            .call(|mut control| {
                let request = request.clone();
                async move { control.configure(request).await }
            })
            .await
            .map(|_| ())
    }

    /// The addresses to connect to: the first machine's, and those already known. Saved, so that a run after a crash knows them.
    fn addresses(&self, first: &Machine) -> Outcome<Vec<std::net::SocketAddr>> {
        let mut known = Addresses::load(&self.state())?;
        if known.nodes.is_empty() {
            known.nodes.push(KnownNode {
                id: 1,
                name: first.name.clone(),
                address: first.control_address,
                public: first.public_address,
                machine: first.id.clone(),
                ssh: first.ssh.to_string(),
            });
            known.save(&self.state())?;
        }
        Ok(first.control_addresses().into_iter().chain(known.all()).collect())
    }

    /// Waits until the first node answers; the failure contains the end of its log.
    async fn wait_for_answer(&self, client: &Client, remote: &Remote, machine: &Machine) -> Outcome<()> {
        let name = &machine.name;
        let patient = client.with_patience(ANSWERS_WITHIN);
        let answered = tokio::select! {
            biased;
            answered = patient.settled() => answered,
            failure = until_failing(remote, name) => return Err(failure),
        };
        let Err(failure) = answered else { return Ok(()) };
        if failure.status() != ExitStatus::Unreachable {
            return Err(failure);
        }
        // The log is optional: without it, the failure is returned all the same.
        let log = remote.fetch_log(LOG_LINES).await.unwrap_or_else(|error| format!("cannot read its log: {error}"));
        let failure = Failure::failed(format!("`{name}` was installed, but does not answer within {ANSWERS_WITHIN:?}"));
        let failure = match remote.session().jump() {
            Some(jump) => failure.cause(format!(
                "the jump host {jump} carries SSH alone: this computer connects to {} itself, as the other nodes do",
                machine.control_address
            )),
            None => failure,
        };
        Err(failure
            .cause(log)
            .hint("run the command again, it continues from here; or remove everything with `disco destroy`"))
    }

    async fn answering(&self, client: &Client) -> Outcome<()> {
        let task = self.context.printer.task(&self.name);
        task.state("waiting for a leader");
        // A daemon may run without answering: its log shows why.
        let answered = client.with_patience(ANSWERS_WITHIN).settled().await;
        answered.map_err(|failure| match failure.status() {
            ExitStatus::Unreachable => {
                failure.hint("`disco doctor` names daemons that are down, `disco logs NAME` reads their logs")
            }
            _ => failure,
        })?;
        task.done("answers");
        Ok(())
    }

    async fn joined(&self, client: &Client, machine: &Machine) -> Outcome<()> {
        let deadline = tokio::time::Instant::now() + ANSWERS_WITHIN;
        loop {
            let status = client.settled().await?;
            if status.nodes.iter().any(|node| node.instance == machine.id && node.healthy) {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(Failure::failed(format!(
                    "`{}` was installed, but did not join within {ANSWERS_WITHIN:?}",
                    machine.name
                ))
                .hint("run the command again, it continues from here"));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

/// The context of every installation.
struct Work {
    binaries: Binaries,
    key: OperatorKey,
}

/// The identity that makes a machine node 1.
struct FirstIdentity {
    cluster: String,
    id: String,
    name: String,
    root: disco_identity::Authority,
    intermediate: disco_identity::Authority,
    ssh: KeyPair,
    addresses: Vec<std::net::IpAddr>,
}

impl FirstIdentity {
    /// Answers the node's signing request.
    fn sign(&self, request: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let chain = authority::issue_first_node(&self.intermediate, request, &self.addresses)?;
        let identity = json!({
            "cluster_id": self.id,
            "cluster_name": self.cluster,
            "node_id": 1,
            "name": self.name,
            "ca": self.root.certificate_pem(),
            "certificate_chain": chain,
            "intermediate_certificate": self.intermediate.certificate_pem(),
            "intermediate_key": self.intermediate.key_pem(),
            "ssh_private_key": self.ssh.private_openssh(),
        });
        Ok(identity.to_string())
    }
}

fn alive(machine: &Machine) -> bool {
    !matches!(machine.state, MachineState::Terminated | MachineState::Gone)
}

/// Reads and verifies both binaries; on a blocking thread, since they are large.
pub(crate) async fn find_binaries(project: &Path) -> Outcome<Binaries> {
    let project = project.to_owned();
    let found = tokio::task::spawn_blocking(move || Binaries::find(Some(&project))).await;
    let found = found.map_err(|error| Failure::failed("cannot read the binaries").because(&error))?;
    found.map_err(|error| Failure::usage("the project's `disco` and `discod` cannot be installed").because(&error))
}
