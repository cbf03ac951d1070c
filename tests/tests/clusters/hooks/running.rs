//! The hooks that run during the cluster's life: `health`, `event` and `leader`.

use std::collections::BTreeMap;
use std::time::Duration;

use disco_proto::v1::MoveLeaderRequest;
use disco_tests::{SOON, block, wait_for};
use serde_json::Value;

use super::support::{Bed, follow};

#[test]
fn an_endless_health_hook_is_ended_and_can_be_replaced() {
    // Scripts have the lowest priority, so on a busy machine it takes long until their time is used up.
    const BUSY: Duration = Duration::from_secs(150);
    let bed = Bed::new(1);
    let (_, node) = bed.leader();
    let looping = bed.push(&node, "export function health() {\n  while (true) {}\n}").unwrap();
    assert!(looping.changed && looping.nodes == [1], "{looping:?}");
    // Meanwhile the node is unhealthy, and everything else continues.
    wait_for(SOON, "a node that is not healthy", || {
        let status = bed.status();
        let found = !status.nodes[0].healthy && status.nodes[0].reason.contains("`health`");
        if found { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    let failed = bed.wait_long_for_event(BUSY, "script.failed", "without yielding");
    assert_eq!(
        (&failed["data"]["hook"], &failed["data"]["file"]),
        (&Value::from("health"), &Value::from("cluster.js"))
    );
    assert!(failed["data"]["line"].as_u64().is_some_and(|line| (2..=3).contains(&line)), "{failed:#}");
    // Then the built-in health check applies.
    wait_for(BUSY, "a healthy node", || {
        let status = bed.status();
        if status.healthy { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    bed.push(&node, "export function health() { return { healthy: false, reason: 'works again' } }").unwrap();
    wait_for(SOON, "the next version's word", || {
        let status = bed.status();
        if status.nodes[0].reason == "works again" { Ok(()) } else { Err(format!("{status:#?}")) }
    });
}

#[test]
fn the_event_hook_gets_every_event_at_least_once_across_leaders_and_failures() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    bed.push(
        &follower,
        "export async function event(cluster, event) {
           await cluster.kv.put(`told/${event.id}`, event.kind);
           if (event.kind === 'deploy.started') throw new Error('the event hook fell');
         }
         export function deploy() {}
         export async function leader(cluster, node, signal) {
           await cluster.kv.put(`led/${node.id}`, `${cluster} ${node.role} ${signal.aborted}`);
           await new Promise((done) => signal.addEventListener('abort', done));
           await cluster.kv.put(`lost/${node.id}`, String(signal.reason));
         }",
    )
    .unwrap();
    let (old, leader) = bed.leader();
    assert_eq!(bed.wait_for_key(&format!("led/{old}")), "Cluster(raw) leader false");
    follow(bed.deploy(&follower, &[]).unwrap());
    let failed = bed.wait_for_event("script.failed", "the event hook fell");
    assert_eq!(
        (&failed["data"]["hook"], &failed["data"]["line"]),
        (&Value::from("event"), &Value::from(4)),
        "{failed:#}"
    );

    block(bed.api.control(&leader).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    let lost = bed.wait_for_key(&format!("lost/{old}"));
    assert!(lost.contains("no longer leads"), "{lost}");
    let (new, _) = bed.leader();
    assert_ne!(new, old);
    assert_eq!(bed.wait_for_key(&format!("led/{new}")), "Cluster(raw) leader false");
    follow(bed.deploy(&follower, &[]).unwrap());
    bed.wait_for_event("deploy.finished", "deployment 2");

    // All events since the hook exists, except its own failures.
    wait_for(SOON, "all events at the hook", || {
        let mut events: BTreeMap<u64, Value> = BTreeMap::new();
        for event in bed.records("/disco/events/") {
            events.insert(event["id"].as_u64().unwrap(), event);
        }
        let told = bed.api.list(&bed.leader().1, "told/", false).unwrap_or_default();
        let told: Vec<u64> =
            told.iter().map(|kv| String::from_utf8_lossy(&kv.key["told/".len()..]).parse().unwrap()).collect();
        let first = told.iter().min().copied().ok_or("no event")?;
        let missed: Vec<&Value> = events
            .range(first..)
            .filter(|(id, event)| !told.contains(id) && event["data"]["hook"] != "event")
            .map(|(_, event)| event)
            .collect();
        let own = events
            .values()
            .any(|event| event["data"]["hook"] == "event" && told.contains(&event["id"].as_u64().unwrap()));
        assert!(!own, "it received its own failure");
        if missed.is_empty() { Ok(()) } else { Err(format!("missed: {missed:#?}")) }
    });
    // A new version ends the call of the previous one, and the remains of a hook that has returned.
    bed.push(
        &follower,
        "export function leader(cluster, node, signal) {
           signal.addEventListener('abort', () => cluster.kv.put('left', signal.reason.message));
         }",
    )
    .unwrap();
    bed.push(&follower, "export function leader() { throw new Error('a bad leader') }").unwrap();
    assert!(bed.wait_for_key(&format!("lost/{new}")).contains("new script version"));
    assert!(bed.wait_for_key("left").contains("new script version"));
    bed.wait_for_event("script.failed", "a bad leader");
}
