//! The end of machines: marked in their records, released at the provider, and forgotten once they have ended.

use std::time::Duration;

use anyhow::{Context, Result};
use disco_proto::v1::Progress;
use disco_provider::{Machine, MachineState, Provider};

use super::source::Source;
use crate::cluster::nodes::removal::REMOVED;
use crate::node::Leader;
use crate::records::machine_state::TERMINATING;
use crate::records::{self, MachineRecord, NodeRecord, Records, Severity};

/// Time limit for a machine to end before the leader reports a failure and retries. Clouds take a minute or two.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
/// Pause between two checks of a machine that is ending: the first and the longest.
const LOOKS_FIRST: Duration = Duration::from_millis(50);
const LOOKS_LAST: Duration = Duration::from_secs(5);

/// Records that a machine must end; every leader continues until it has ended.
///
/// # Errors
/// The mark was not written.
pub async fn mark_ending(records: &impl Records, token: &str) -> Result<()> {
    let mark = |record: &MachineRecord| (record.state != TERMINATING).then(|| ending(record.clone()));
    records::change(records, &records::keys::machine(token), mark).await?;
    Ok(())
}

fn ending(record: MachineRecord) -> MachineRecord {
    let now = Some(crate::clock::unix_ms());
    MachineRecord { state: TERMINATING.to_owned(), error: String::new(), ending_ms: now, ..record }
}

/// Releases the machine of a record, waits until it has ended, and deletes the record.
///
/// # Errors
/// What failed; a retry is safe.
pub async fn terminate(source: &impl Source, token: &str) -> Result<()> {
    let key = records::keys::machine(token);
    let Some(record) = source.read(|store| records::get::<MachineRecord>(store, &key)) else {
        return Ok(());
    };
    let record = record.value;
    let provider = source.provider()?;
    let ended = tokio::time::timeout(ENDS_WITHIN, until_ended(source, provider.as_ref(), &record)).await;
    ended.with_context(|| format!("the machine has not ended within {} s", ENDS_WITHIN.as_secs()))??;
    let txn = records::Txn::new().delete(&key).delete(&records::keys::reserved(token));
    source.write(txn.operation()).await?;
    source.progress(Progress { subject: record.name, state: REMOVED.to_owned(), done: true, ..Progress::default() });
    Ok(())
}

/// Terminates the machine and polls until the provider no longer lists it, or lists it as ended. Given machines keep
/// running for their owner.
async fn until_ended(source: &impl Source, provider: &dyn Provider, record: &MachineRecord) -> Result<()> {
    // A start whose answer was lost may still have created a machine.
    let is_it = |one: &Machine| one.id == record.id || (record.id.is_empty() && one.token == record.token);
    let find = || async {
        let listed = provider.list().await.context("listing the machines")?;
        anyhow::Ok(listed.into_iter().find(is_it))
    };
    let Some(machine) = find().await? else { return Ok(()) };
    give_back(source, provider, record, &machine).await?;
    let mut pause = LOOKS_FIRST;
    while provider.capabilities().can_terminate
        && let Some(left) = find().await?
        && !matches!(left.state, MachineState::Terminated | MachineState::Gone)
    {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOKS_LAST);
    }
    Ok(())
}

/// Marks the machine of a node that has left for release, if its provider knows it; the controller of machines releases
/// it.
///
/// # Errors
/// The mark was not written; a retry is safe.
pub async fn release(leader: &Leader, record: &NodeRecord) -> Result<()> {
    if record.machine.is_empty() || !leader.has_provider() {
        return Ok(());
    }
    mark_released(leader, record).await?;
    leader.wake_controllers();
    Ok(())
}

pub(crate) async fn mark_released(records: &impl Records, node: &NodeRecord) -> Result<()> {
    // Named after the node, the name that operators know.
    let released = |machine: MachineRecord| MachineRecord {
        name: node.name.clone(),
        dismissed: node.dismissed,
        ..ending(machine)
    };
    loop {
        let machines = records.read(records::machines);
        let by_id = machines.iter().find(|machine| machine.id == node.machine);
        // A record whose key is the id of the node's machine: below, nothing could be written there.
        if let Some(known) = by_id.or_else(|| machines.iter().find(|machine| machine.token == node.machine)) {
            let mark = |record: &MachineRecord| (record.state != TERMINATING).then(|| released(record.clone()));
            records::change(records, &records::keys::machine(&known.token), mark).await?;
            return Ok(());
        }
        // The operator's own machine has no record. It gets one until it has ended.
        let machine = released(MachineRecord {
            token: node.machine.clone(),
            id: node.machine.clone(),
            node: Some(node.id),
            created_at: crate::clock::rfc3339(),
            created_ms: crate::clock::unix_ms(),
            ..MachineRecord::default()
        });
        let key = records::keys::machine(&machine.token);
        let txn = records::Txn::new().absent(&key).put(&key, &machine);
        if records::succeeded(&records.write(txn.operation()).await?) {
            return Ok(());
        }
    }
}

async fn give_back(
    source: &impl Source,
    provider: &dyn Provider,
    record: &MachineRecord,
    machine: &Machine,
) -> Result<()> {
    if !provider.capabilities().can_terminate {
        // The machine remains its owner's: what was installed on it is removed.
        if let Err(error) = source.clear(record, machine).await {
            let text = format!("cannot uninstall Disco from {}: {error:#}", machine.name);
            records::emit_in_term(source, "machine.not_cleared", Severity::Warning, None, text).await;
        }
    }
    provider.terminate(&machine.id).await.with_context(|| format!("releasing the machine {}", machine.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{FakeRecords, keys};

    fn node() -> NodeRecord {
        let (name, machine) = ("web-2".to_owned(), "i-2".to_owned());
        NodeRecord { id: 2, name, machine, dismissed: true, ..NodeRecord::default() }
    }

    #[tokio::test]
    async fn a_released_machine_keeps_what_is_written_at_the_same_time() {
        let (records, key) = (FakeRecords::default(), keys::machine("web-2"));
        let started = MachineRecord { token: "web-2".to_owned(), id: "i-2".to_owned(), ..MachineRecord::default() };
        records.put(&key, &started);
        records.put_meanwhile(&key, &MachineRecord { node: Some(2), ..started });
        mark_released(&records, &node()).await.unwrap();
        let written: MachineRecord = records.get(&key).unwrap();
        assert_eq!((written.state.as_str(), written.node, written.dismissed), (TERMINATING, Some(2), true));
        assert!(written.ending_ms.is_some());
        // Once ending, it stays as it is: `status` shows since when.
        let since = MachineRecord { ending_ms: Some(7), ..written };
        records.put(&key, &since);
        mark_released(&records, &node()).await.unwrap();
        mark_ending(&records, "web-2").await.unwrap();
        assert_eq!(records.get::<MachineRecord>(&key), Some(since));
    }

    #[tokio::test]
    async fn the_operators_own_machine_gets_a_record_until_it_has_ended() {
        let records = FakeRecords::default();
        mark_released(&records, &node()).await.unwrap();
        let written: MachineRecord = records.get(&keys::machine("i-2")).unwrap();
        assert_eq!((written.name.as_str(), written.id.as_str(), written.node), ("web-2", "i-2", Some(2)));
        assert_eq!(written.state, TERMINATING);
    }
}
