//! From a record to a member: start the machine, install the node, wait until it has joined.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_proto::v1::Progress;
use disco_provider::install::{Binaries, Boot, InstallProgress, NodeSettings, Owner, Permitted, Remote, Step};
use disco_provider::{Machine, ProgressSink, Provider, StartRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::starts::Starts;
use crate::cluster::machines::provider as source;
use crate::cluster::tokens;
use crate::node::Leader;
use crate::records::{self, MachineRecord, Records, Severity, machine_state as state};

/// Time for a new machine to answer SSH.
const BOOT: Duration = Duration::from_secs(180);
/// Time for an installed node to become a member.
const JOIN: Duration = Duration::from_secs(60);
/// Validity of the join token that is sent to the machine.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// Lines of the service's log in the error of a node that does not join.
const LOG_LINES: usize = 10;

pub(super) async fn bring_up(leader: &Leader, token: &str, starts: &Starts) -> Result<()> {
    let key = records::keys::machine(token);
    let Some(record) = leader.raft().store().read(|store| records::get::<MachineRecord>(store, &key)) else {
        return Ok(());
    };
    let record = record.value;
    let step = |state: &str, detail: String| Progress {
        subject: record.name.clone(),
        state: state.to_owned(),
        detail,
        ..Progress::default()
    };
    leader.progress(step("starting", String::new()));
    let provider = source::provider(leader)?;
    let own_key = source::ssh_key(leader)?;
    let given = !provider.capabilities().can_terminate;
    let turn = if given { Some(starts.turn().await) } else { None };
    let progress = provider_progress(leader, &record.name);
    let request =
        StartRequest { progress, avoid: starts.avoided(Instant::now()), ..source::request(leader, &record, &own_key) };
    let machine = provider.start(request).await.context("starting the machine")?;
    let Some(record) = note_start(leader, &key, &machine).await? else { return Ok(()) };
    drop(turn);
    leader.progress(step("installing", machine.ssh.to_string()));
    let own = std::env::current_exe().context("finding this program's own file")?;
    let client = own.with_file_name("disco");
    let binaries = tokio::task::spawn_blocking(move || Binaries::from_paths(&client, &own)).await??;
    let remote = match reach(leader, provider.as_ref(), &record, &machine, &binaries).await {
        Ok(remote) => remote,
        Err(error) if !given => return Err(error),
        Err(error) => {
            let error = format!("{error:#}");
            // The machine is unchanged, and another one may work.
            note_free(leader, &key).await?;
            let text = format!("`{}` cannot be used: {error}", machine.ssh.endpoint());
            if !starts.note_failure(&machine.id, &error, Instant::now()) {
                bail!("{text}");
            }
            // The first time this is not a failure: another machine is tried at once.
            records::emit_in_term(leader, "machine.unusable", Severity::Warning, None, text.clone()).await;
            leader.progress(step("trying another machine", text));
            return Ok(());
        }
    };
    let settings = settings(leader, &record, &machine, &remote, provider.as_ref()).await?;
    let installation = Installation { leader, name: &record.name, percent: Mutex::new(0) };
    let installed = remote.install_joining_node(&binaries, &settings, &installation).await.context("installing")?;
    if installed.boot == Boot::Nobody {
        let text = format!(
            "the daemon of {} does not start when its machine boots: neither systemd nor cron can be used",
            record.name
        );
        records::emit_in_term(leader, "machine.no_boot", Severity::Warning, None, text).await;
    }
    leader.progress(step("joining", machine.control_address.to_string()));
    match tokio::time::timeout(JOIN, joined(leader, &record.id)).await {
        Ok(()) => Ok(()),
        Err(_) => {
            let log = remote.fetch_log(LOG_LINES).await.unwrap_or_default();
            bail!("its node did not join within {JOIN:?}\nthe end of its log:\n{}", log.trim_end())
        }
    }
}

/// Records the machine that was started. `None` if it is no longer needed: the record is gone, or the machine must end.
async fn note_start(records: &impl Records, key: &str, machine: &Machine) -> Result<Option<MachineRecord>> {
    let started = |record: &MachineRecord| {
        (record.state != state::TERMINATING).then(|| MachineRecord {
            id: machine.id.clone(),
            address: machine.control_address.to_string(),
            ssh: machine.ssh.to_string(),
            state: state::INSTALLING.to_owned(),
            ..record.clone()
        })
    };
    Ok(records::change(records, key, started).await?.map(|changed| changed.after))
}

/// Records that the machine in use was not changed, and that another one is to be started.
async fn note_free(records: &impl Records, key: &str) -> Result<()> {
    let free = |record: &MachineRecord| {
        (record.state != state::TERMINATING).then(|| MachineRecord {
            id: String::new(),
            address: String::new(),
            ssh: String::new(),
            state: state::STARTING.to_owned(),
            ..record.clone()
        })
    };
    records::change(records, key, free).await?;
    Ok(())
}

/// Connects to the machine, and obtains the permission to change it.
async fn reach(
    leader: &Leader,
    provider: &dyn Provider,
    record: &MachineRecord,
    machine: &Machine,
    binaries: &Binaries,
) -> Result<Permitted> {
    let boots = provider.capabilities().boots;
    let session = source::connect(leader, machine, boots, BOOT).await.context("reaching the machine over SSH")?;
    let owner = Owner { programs: binaries.checksums(), ..source::owner(leader, &record.token, None, machine) };
    Ok(Remote::probe(session).await?.permit(owner).await?)
}

/// Reports the provider's progress as the cluster's.
fn provider_progress(leader: &Leader, name: &str) -> ProgressSink {
    let (leader, subject) = (leader.clone(), name.to_owned());
    let last = Mutex::new(String::new());
    ProgressSink::new(move |words| {
        let mut last = last.lock();
        if *last != words {
            words.clone_into(&mut last);
            leader.progress(Progress {
                subject: subject.clone(),
                state: "starting".to_owned(),
                detail: words.to_owned(),
                ..Progress::default()
            });
        }
    })
}

async fn settings(
    leader: &Leader,
    record: &MachineRecord,
    machine: &Machine,
    remote: &Remote,
    provider: &dyn Provider,
) -> Result<NodeSettings> {
    let issued = tokens::issue_for_machine(leader, TOKEN_LIFE, &record.token).await?;
    Ok(NodeSettings {
        listen: remote.listen_address(machine),
        advertise: machine.control_address,
        public_address: machine.public_address,
        name: record.name.clone(),
        machine: Some(machine.id.clone()),
        pace: leader.raft().pace(),
        join_token: Some(issued.token),
        labels: Default::default(),
        env: provider.node_environment(),
    })
}

/// Returns when the machine's node is a member.
async fn joined(leader: &Leader, machine: &str) {
    let mut revisions = leader.raft().store().revisions();
    loop {
        let nodes = leader.raft().store().read(records::nodes);
        let members = leader.raft().members();
        let own = nodes.iter().find(|node| node.machine == machine);
        if own.is_some_and(|own| members.iter().any(|member| member.id == own.id)) {
            return;
        }
        // Membership changes have no revision.
        let _ = tokio::time::timeout(leader.raft().pace().heartbeat(), revisions.changed()).await;
    }
}

/// Writes the last failure to the machine's record. Returns whether it is the machine's first.
pub(super) async fn note_error(records: &impl Records, token: &str, error: &str) -> bool {
    let failed = |record: &MachineRecord| {
        (record.error != error).then(|| MachineRecord { error: error.to_owned(), ..record.clone() })
    };
    match records::change(records, &records::keys::machine(token), failed).await {
        Ok(changed) => changed.is_some_and(|changed| changed.before.error.is_empty()),
        Err(error) => {
            tracing::warn!(%error, "could not record a machine's failure");
            false
        }
    }
}

/// Reports an installation's steps as the cluster's progress.
struct Installation<'a> {
    leader: &'a Leader,
    name: &'a str,
    percent: Mutex<u64>,
}

impl InstallProgress for Installation<'_> {
    fn step(&self, step: Step) {
        let progress = Progress {
            subject: self.name.to_owned(),
            state: "installing".to_owned(),
            detail: match step {
                Step::Checking => "inspecting the machine".to_owned(),
                Step::Uploading { name } => format!("sending {name}"),
                Step::Identity => "creating its identity".to_owned(),
                Step::Starting => "starting the service".to_owned(),
                Step::Done => return,
            },
            ..Progress::default()
        };
        self.leader.progress(progress);
    }

    fn sent(&self, name: &'static str, sent: u64, total: u64) {
        let percent = sent * 100 / total.max(1);
        let mut shown = self.percent.lock();
        // One line for each quarter is enough for a log.
        if percent >= *shown + 25 {
            *shown = percent;
            self.leader.progress(Progress {
                subject: self.name.to_owned(),
                state: "installing".to_owned(),
                detail: format!("sending {name}, {percent} %"),
                ..Progress::default()
            });
        }
        if sent == total {
            *shown = 0;
        }
    }
}
