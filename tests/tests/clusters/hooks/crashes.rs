//! Hooks that end their daemon: the cluster keeps its quorum, reports them, and accepts a corrected version.

use std::collections::BTreeSet;
use std::time::Instant;

use disco_proto::v1::StatusResponse;
use disco_tests::SOON;

use super::support::Bed;

/// Every call ends the process, in the simplest way that a script has.
const DEADLY: &str = "
const end = async () => { await $`kill -9 $PPID`.nothrow(); await delay(60000); };
export const health = end;
export const leader = end;
export const event = end;
export async function deploy() { return 'deployed' }
";
/// Its trial already ends the leader.
const DEADLY_TO_TRY: &str = "
export async function init() {
  await $`kill -9 $PPID`.nothrow();
  await delay(60000);
  return new Cluster({ name: 'raw' });
}
";
const CORRECTED: &str = "
export function health() { return { healthy: true, reason: 'corrected' } }
export async function leader(cluster) { await cluster.kv.put('led', 'yes'); }
";

/// Restarts daemons that have ended, as a supervisor does, until a condition holds.
#[track_caller]
fn supervise<T>(bed: &mut Bed, what: &str, mut look: impl FnMut(&Bed) -> Result<T, String>) -> T {
    let deadline = Instant::now() + SOON * 2;
    loop {
        for node in &mut bed.cluster.nodes {
            if !node.runs() {
                node.start();
            }
        }
        match look(bed) {
            Ok(found) => return found,
            Err(last) if Instant::now() >= deadline => panic!("no {what}: {last}"),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

/// The leader's address and its status, without waiting for a leader.
fn leader(bed: &Bed) -> Result<(String, StatusResponse), String> {
    let mut last = String::new();
    for address in bed.cluster.addresses() {
        match bed.api.status(&address) {
            Ok(status) if !status.stale => {
                let found = status.nodes.iter().find(|node| node.id == status.leader).map(|node| node.address.clone());
                if let Some(leader) = found {
                    return Ok((leader, status));
                }
            }
            Ok(status) => last = format!("{status:?}"),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// Whether the status reports that a hook is disabled on a node.
fn is_off(status: &StatusResponse, hook: &str, node: u64) -> bool {
    let begin = format!("`{hook}` is disabled on node ");
    let nodes = status.warnings.iter().filter_map(|warning| warning.strip_prefix(&begin)?.split(':').next());
    nodes.flat_map(|nodes| nodes.split(", ")).any(|id| id == node.to_string())
}

#[test]
fn a_hook_that_ends_its_process_at_every_call_is_disabled_and_can_be_replaced() {
    let mut bed = Bed::new(3);
    let (_, follower) = bed.follower();
    // The answer may be lost with the leader.
    let _ = bed.push(&follower, DEADLY);
    let status = supervise(&mut bed, "status that names the hooks", |bed| {
        let (_, status) = leader(bed)?;
        let off = "`health` is disabled on node 1, 2, 3: it has ended the daemon 2 times";
        let said = status.warnings.iter().any(|warning| warning.contains(off));
        // The leader's hooks end it too, until they are disabled.
        let said = said && ["leader", "event"].iter().all(|hook| is_off(&status, hook, status.leader));
        let whole = status.nodes.iter().all(|node| node.healthy);
        if said && whole { Ok(status) } else { Err(format!("{status:#?}")) }
    });
    assert!(status.warnings.iter().any(|warning| warning.contains("disco script push")), "{status:#?}");
    for id in 1..=3 {
        supervise(&mut bed, "event", |bed| {
            let (leader, _) = leader(bed)?;
            let events = bed.api.list(&leader, "/disco/events/", false).map_err(|error| error.to_string())?;
            let events: Vec<serde_json::Value> =
                events.iter().map(|kv| serde_json::from_slice(&kv.value).unwrap()).collect();
            let found = events.iter().any(|event| {
                event["kind"] == "script.disabled" && event["node"] == id && event["data"]["hook"] == "health"
            });
            if found { Ok(()) } else { Err(format!("{events:#?}")) }
        });
    }
    // The cluster keeps its quorum, and accepts a corrected version.
    supervise(&mut bed, "write", |bed| {
        let limit = std::time::Duration::from_secs(1);
        bed.api.put(&bed.cluster.addresses(), "written", "yes", limit).map_err(|error| format!("{error:?}"))
    });
    supervise(&mut bed, "corrected version on all nodes", |bed| {
        let (leader, _) = leader(bed)?;
        let pushed = bed.push(&leader, CORRECTED).map_err(|error| error.to_string())?;
        if pushed.nodes.len() == 3 { Ok(()) } else { Err(format!("{pushed:?}")) }
    });
    let pids: Vec<_> = bed.cluster.nodes.iter().map(disco_tests::RawNode::pid).collect();
    assert_eq!(bed.wait_for_key("led"), "yes");
    let status = supervise(&mut bed, "status without a word of the hooks", |bed| {
        let (_, status) = leader(bed)?;
        let said = status.warnings.iter().any(|warning| warning.contains("is disabled on node"));
        if status.healthy && !said { Ok(status) } else { Err(format!("{status:#?}")) }
    });
    assert_eq!(status.nodes.len(), 3);
    let now: Vec<_> = bed.cluster.nodes.iter().map(disco_tests::RawNode::pid).collect();
    assert_eq!(pids, now, "no daemon has ended since");
}

#[test]
fn a_version_whose_trial_ends_the_leader_ends_two_daemons_at_most() {
    let mut bed = Bed::new(3);
    let pids = |bed: &Bed| bed.cluster.nodes.iter().map(disco_tests::RawNode::pid).collect::<Vec<_>>();
    let mut seen: BTreeSet<u32> = pids(&bed).into_iter().collect();
    let refused = supervise(&mut bed, "refusal", |bed| {
        seen.extend(pids(bed));
        let (leader, _) = leader(bed)?;
        match bed.push_files(&leader, &[("cluster.js", DEADLY_TO_TRY)], false) {
            Err(refused) if refused.message().contains("`cluster.js` is disabled") => Ok(refused),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(refused.message().contains("ended 2 times while trying it, the last time on node "), "{refused}");
    assert!(seen.len() <= 3 + 2, "{} daemons have ended", seen.len() - 3);
    let before = pids(&bed);
    supervise(&mut bed, "corrected version", |bed| {
        let (leader, _) = leader(bed)?;
        bed.push(&leader, CORRECTED).map_err(|error| error.to_string())
    });
    assert_eq!(bed.wait_for_key("led"), "yes");
    assert_eq!(pids(&bed), before, "no daemon has ended since");
}
