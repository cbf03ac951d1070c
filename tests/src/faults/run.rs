use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

use super::clients::{self, Shared};
use super::cluster::Cluster;
use super::fault::{Fault, Kind};
use super::history::{Event, Op};
use super::network::{self, Network};
use super::options::Options;
use super::summary::Summary;
use super::watchers::{self, Deliveries};
use super::{check, clock};
use crate::{SOON, block, wait_for};

/// The largest offset of a clock, in seconds: less than certificates allow.
const CLOCK_OFF: u64 = 240;
/// The time within which an unreachable leader hands over.
const GIVES_WAY: Duration = Duration::from_secs(5);
/// The interval of progress lines.
const PROGRESS: Duration = Duration::from_secs(20);

/// A whole run. Re-executes this process with its own network if that is allowed, so it must be called first.
#[must_use]
pub fn run(options: &Options) -> Summary {
    let isolated = network::isolate();
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    eprintln!("seed {seed}");
    let mut summary = Summary { seed, nodes: options.nodes, ..Summary::default() };
    let mut cluster = Cluster::with_nodes(options.nodes, isolated);
    let kinds = possible(options, isolated, &mut summary);
    let shared = Shared::new(cluster.api.clone());
    tell_addresses(&shared, &cluster);
    let deliveries = Arc::new(Deliveries::default());
    let tasks: Vec<_> = block(async {
        let clients =
            (0..options.clients as u64).map(|client| tokio::spawn(clients::run(shared.clone(), seed ^ (client << 32))));
        let watchers =
            (0..options.nodes).map(|node| tokio::spawn(watchers::follow(shared.clone(), deliveries.clone(), node)));
        clients.chain(watchers).collect()
    });

    let start = Instant::now();
    let mut timeline = Vec::new();
    let mut random = StdRng::seed_from_u64(seed);
    let mut reported = Instant::now();
    let enough = |kills: u64| match options.kills {
        Some(wanted) => kills >= wanted,
        None => start.elapsed() >= Duration::from_secs(options.seconds),
    };
    while !enough(cluster.kills) && summary.violations.is_empty() {
        let fault = Fault::draw(&mut random, &kinds, options.nodes);
        let rest = Duration::from_millis(random.random_range(0..600));
        *summary.faults.entry(fault.kind.name()).or_default() += 1;
        timeline.push(format!("{:9.3} {fault:?}", shared.history.now().as_secs_f64()));
        if let Err(error) = make(&mut cluster, &shared, &fault, &mut summary) {
            summary.violations.push(format!("{fault:?}: {error}"));
        }
        std::thread::sleep(rest);
        if reported.elapsed() > PROGRESS {
            reported = Instant::now();
            eprintln!(
                "{:.0} s, {} kills, {} operations",
                start.elapsed().as_secs_f64(),
                cluster.kills,
                shared.history.progress().0
            );
        }
    }
    summary.seconds = start.elapsed().as_secs_f64();
    if summary.violations.is_empty()
        && let Err(error) = cluster.settle()
    {
        summary.violations.push(error);
    }
    shared.stop.store(true, Ordering::Relaxed);
    block(async {
        for task in tasks {
            // A watcher may be waiting for an event.
            if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(20), task).await {
                summary.violations.push(format!("a client: {error}"));
            }
        }
    });
    let events = shared.history.take();
    conclude(&cluster, &events, &deliveries, &mut summary);
    summary.kills = cluster.kills;
    if !summary.violations.is_empty() {
        eprintln!("{}", timeline.join("\n"));
        cluster.raw.keep();
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&summary).expect("a summary is JSON")).unwrap();
    }
    summary
}

/// The requested faults that are possible here.
fn possible(options: &Options, isolated: bool, summary: &mut Summary) -> Vec<Kind> {
    let mut missing: BTreeMap<Kind, String> = BTreeMap::new();
    if isolated {
        missing.extend(Network::missing());
    } else {
        let kinds = [Kind::CutOneWay, Kind::CutTwoWay, Kind::Loss, Kind::Delay, Kind::FullDisk];
        let kinds = kinds.into_iter().chain(Kind::OF_CONNECTIONS);
        missing.extend(kinds.map(|kind| (kind, "only root can make networks and disks".to_owned())));
    }
    if clock::library().is_none() {
        missing.insert(Kind::Clock, "`libfaketime` is not installed (Debian: apt-get install faketime)".to_owned());
    }
    let wanted = if options.faults.is_empty() { Kind::value_variants() } else { &options.faults };
    let (skipped, kinds): (Vec<Kind>, Vec<Kind>) = wanted.iter().partition(|kind| missing.contains_key(kind));
    summary.skipped = skipped.into_iter().map(|kind| (kind.name(), missing[&kind].clone())).collect();
    assert!(!kinds.is_empty(), "none of these faults can be made here: {:?}", summary.skipped);
    kinds
}

fn tell_addresses(shared: &Shared, cluster: &Cluster) {
    *shared.addresses.write().unwrap() = cluster.raw.addresses();
}

/// Makes a fault, and ends it.
fn make(cluster: &mut Cluster, shared: &Shared, fault: &Fault, summary: &mut Summary) -> Result<(), String> {
    cluster.crashed()?;
    let nodes = cluster.raw.nodes.len();
    let last = || std::thread::sleep(Duration::from_millis(fault.millis));
    let Fault { kind, mut node, other, dice, .. } = *fault;
    let of_connections = Kind::OF_CONNECTIONS.contains(&kind);
    if matches!(kind, Kind::KillLeader | Kind::PauseLeader) || of_connections && dice & (1 << 42) == 0 {
        node = cluster.leader().unwrap_or(node);
    }
    match kind {
        Kind::Kill | Kind::KillLeader => {
            cluster.kill(node);
            last();
            cluster.start(node);
        }
        Kind::KillAll => {
            (0..nodes).for_each(|node| cluster.kill(node));
            (0..nodes).for_each(|node| cluster.start(node));
        }
        Kind::Pause | Kind::PauseLeader => {
            cluster.signal(node, Signal::STOP);
            last();
            cluster.signal(node, Signal::CONT);
        }
        Kind::MoveLeader => cluster.move_leader(),
        Kind::Clock => {
            let off = i64::try_from(1 + dice % CLOCK_OFF).unwrap_or(1);
            cluster.clocks[node].set(if dice & (1 << 40) == 0 { off } else { -off });
            last();
            cluster.clocks[node].set(0);
        }
        Kind::CutOneWay | Kind::CutTwoWay | Kind::Loss | Kind::Delay => {
            let network = cluster.network.as_ref().ok_or("there is no network of its own")?;
            match kind {
                Kind::Loss => network.lose(node, 5 + dice % 40),
                Kind::Delay => network.delay(node, 20 + dice % 300),
                _ => cut(network, nodes, (node, other, dice), kind == Kind::CutTwoWay),
            }
            last();
            network.heal();
            if kind == Kind::Delay {
                network.hurry(node);
            }
        }
        Kind::ClosePort | Kind::CutNew | Kind::CutEstablished => {
            let network = cluster.network.as_ref().ok_or("there is no network of its own")?;
            network.close(node, kind, dice & 0b11 == 0);
            last();
            if dice & 0b1100 == 0 {
                // Long enough for an unreachable leader to hand over.
                std::thread::sleep(GIVES_WAY);
            }
            network.heal();
        }
        Kind::FullDisk => {
            let disk = cluster.disk(node).ok_or("it has no disk of its own")?;
            disk.fill(dice % (8 << 20));
            last();
            disk.empty();
        }
        Kind::Move => {
            cluster.settle()?;
            cluster.kill(node);
            cluster.relocate(node);
            cluster.start(node);
            tell_addresses(shared, cluster);
            // One after the other: the moved node must have reported before the next one moves.
            cluster.settle()?;
        }
        Kind::Replace => {
            cluster.settle()?;
            cluster.kill(node);
            cluster.replace(node)?;
            cluster.settle()?;
        }
        Kind::DamagedLog => {
            cluster.settle()?;
            cluster.kill(node);
            let file = if dice & (1 << 41) == 0 { "raft.redb" } else { "raft.journal" };
            damage(&cluster.raw.nodes[node].data.join(file), dice)?;
            cluster.start(node);
            if refuses(cluster, node) {
                summary.logs_refused += 1;
                cluster.raw.nodes[node].kill();
                cluster.replace(node)?;
            } else {
                summary.logs_mended += 1;
            }
            cluster.settle()?;
        }
    }
    Ok(())
}

/// Cuts one set of nodes off from the rest; in one direction, or in both.
fn cut(network: &Network, nodes: usize, (node, other, dice): (usize, usize, u64), both: bool) {
    // With three nodes one is cut off; with more it may be two.
    let alone = |index: usize| index == node || nodes > 3 && dice.is_multiple_of(2) && index == other;
    for from in 0..nodes {
        for to in 0..nodes {
            if alone(from) != alone(to) && (both || alone(from) == (dice & 2 == 0)) {
                network.cut(from, to);
            }
        }
    }
}

/// Truncates a file, or flips a byte of it, like a disk or power failure.
fn damage(log: &std::path::Path, dice: u64) -> Result<(), String> {
    let mut bytes = fs::read(log).map_err(|error| error.to_string())?;
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    // Mostly near the end of the used part.
    let place = if dice.is_multiple_of(3) {
        used * 3 / 4 + usize::try_from(dice >> 8).unwrap_or(0) % (used / 4).max(1)
    } else {
        usize::try_from(dice >> 8).unwrap_or(0) % used.max(1)
    };
    match dice % 2 {
        0 => bytes[place] ^= 1 << (dice % 8),
        _ => {
            // An unwritten sector, or the rest of the file.
            let end = if dice.is_multiple_of(5) { bytes.len() } else { (place + 512).min(bytes.len()) };
            bytes[place..end].fill(0);
        }
    }
    fs::write(log, bytes).map_err(|error| error.to_string())
}

/// Whether the node ends instead of serving.
fn refuses(cluster: &mut Cluster, node: usize) -> bool {
    let address = cluster.raw.addresses()[node].clone();
    wait_for(SOON, "its end, or that it serves", || match cluster.raw.nodes[node].runs() {
        false => Ok(true),
        true if cluster.api.status(&address).is_ok_and(|status| status.leader != 0) => Ok(false),
        true => Err("neither"),
    })
}

/// All checks, after the faults.
fn conclude(cluster: &Cluster, events: &[Event], deliveries: &Deliveries, summary: &mut Summary) {
    summary.known = events.iter().filter(|event| event.returned.is_some()).count();
    summary.unknown = events.len() - summary.known;
    summary.keys = check::keys(events);
    let mut returns: Vec<Duration> = events.iter().filter_map(|event| event.returned).collect();
    returns.sort_unstable();
    let silence = returns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    summary.longest_silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
    summary.violations.extend(check::violations(events));
    if summary.violations.is_empty() {
        summary.violations.extend(everywhere(cluster, events));
    }
    summary.gave_way = gave_way(cluster);
    let (revisions, violations) = deliveries.result();
    summary.revisions = revisions;
    summary.violations.extend(violations);
}

/// How many leaders handed over because they were unreachable, according to the retained events.
fn gave_way(cluster: &Cluster) -> usize {
    let address = &cluster.raw.addresses()[0];
    let events = cluster.api.list(address, "/disco/events/", true).unwrap_or_default();
    let parsed = events.iter().filter_map(|kv| serde_json::from_slice::<serde_json::Value>(&kv.value).ok());
    parsed.filter(|event| event["kind"] == "leader.unreachable").count()
}

/// Every acknowledged write is on every node, and all nodes have the same keys.
fn everywhere(cluster: &Cluster, events: &[Event]) -> Vec<String> {
    let mut found = Vec::new();
    let newest = events.iter().filter_map(|event| event.revision).max().unwrap_or(0);
    let mut first = None;
    for address in cluster.raw.addresses() {
        cluster.api.wait_for_revision(SOON, &address, newest);
        let kvs = match cluster.api.list(&address, "register/", true) {
            Ok(kvs) => kvs,
            Err(status) => {
                found.push(format!("{address}: {status}"));
                continue;
            }
        };
        for event in events {
            let value = match event.op {
                Op::Put { value } => value,
                Op::Swap { to, done: Some(true), .. } => to,
                _ => continue,
            };
            let Some(revision) = event.revision else { continue };
            let kv = kvs.iter().find(|kv| kv.key == event.key.as_bytes());
            let holds = kv.is_some_and(|kv| {
                kv.mod_revision > revision || kv.mod_revision == revision && kv.value == value.to_string().as_bytes()
            });
            if !holds {
                found.push(format!("{address} lacks an acknowledged write: {event:?}; it has {kv:?}"));
            }
        }
        match &first {
            None => first = Some((address, kvs)),
            Some((other, known)) if *known != kvs => {
                found.push(format!("{other} and {address} do not have the same keys"))
            }
            Some(_) => {}
        }
    }
    found
}
