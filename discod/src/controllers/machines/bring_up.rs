//! From a record to a member: start the machine, install the node, wait until it has joined.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_proto::v1::Progress;
use disco_provider::install::Boot;
use disco_provider::{Machine, ProgressSink, StartRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::leading::{Leading, Site};
use super::starts::Starts;
use crate::cluster::machines::provider as source;
use crate::cluster::machines::view::dead;
use crate::records::{self, MachineRecord, Records, Severity, machine_state as state};

/// Time for an installed node to become a member.
const JOIN: Duration = Duration::from_secs(60);

pub(super) async fn bring_up<L: Leading>(leader: &L, token: &str, starts: &Starts) -> Result<()> {
    let key = records::keys::machine(token);
    let Some(record) = leader.read(|store| records::get::<MachineRecord>(store, &key)) else { return Ok(()) };
    let record = record.value;
    let name = record.name.clone();
    let step = |state: &str, detail: String| Progress {
        subject: name.clone(),
        state: state.to_owned(),
        detail,
        ..Progress::default()
    };
    leader.progress(step("starting", String::new()));
    let provider = leader.provider()?;
    let own_key = leader.ssh_key()?;
    let given = !provider.capabilities().can_terminate;
    let turn = if given { Some(starts.turn().await) } else { None };
    let dead = dead(&leader.planned(), &leader.limits());
    let request = StartRequest {
        progress: provider_progress(leader, &name),
        avoid: starts.avoided(Instant::now()),
        ..source::request(leader, &record, &own_key, &dead)
    };
    let machine = provider.start(request).await.context("starting the machine")?;
    let Some(record) = note_start(leader, &key, &machine).await? else { return Ok(()) };
    drop(turn);
    leader.progress(step("installing", machine.ssh.to_string()));
    let programs = leader.programs().await?;
    let site = Site { provider, record, machine };
    let remote = match leader.reach(&programs, &site).await {
        Ok(remote) => remote,
        Err(error) if !given => return Err(error),
        Err(error) => {
            let error = format!("{error:#}");
            // The machine is unchanged, and another one may work.
            note_free(leader, &key).await?;
            let text = format!("`{}` cannot be used: {error}", site.machine.ssh.endpoint());
            if !starts.note_failure(&site.machine.id, &error, Instant::now()) {
                bail!("{text}");
            }
            // The first time this is not a failure: another machine is tried at once.
            records::emit_in_term(leader, "machine.unusable", Severity::Warning, None, text.clone()).await;
            leader.progress(step("trying another machine", text));
            return Ok(());
        }
    };
    if leader.install(&programs, &site, &remote).await? == Boot::Nobody {
        let text =
            format!("the daemon of {name} does not start when its machine boots: neither systemd nor cron can be used");
        records::emit_in_term(leader, "machine.no_boot", Severity::Warning, None, text).await;
    }
    leader.progress(step("joining", site.machine.control_address.to_string()));
    match tokio::time::timeout(JOIN, joined(leader, &site.record.id)).await {
        Ok(()) => Ok(()),
        Err(_) => {
            let log = leader.log(&remote).await;
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

/// Reports the provider's progress as the cluster's.
fn provider_progress<L: Leading>(leader: &L, name: &str) -> ProgressSink {
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

/// Returns when the machine's node is a member.
async fn joined(leader: &impl Leading, machine: &str) {
    let mut revisions = leader.revisions();
    loop {
        let nodes = leader.read(records::nodes);
        let members = leader.members();
        let own = nodes.iter().find(|node| node.machine == machine);
        if own.is_some_and(|own| members.iter().any(|member| member.id == own.id)) {
            return;
        }
        // Membership changes have no revision.
        let _ = tokio::time::timeout(leader.pace().heartbeat(), revisions.changed()).await;
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
