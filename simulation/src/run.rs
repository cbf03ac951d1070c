//! One run: a cluster, clients, faults, and then rest.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::bug::Bug;
use crate::client;
use crate::cluster::Cluster;
use crate::events::Observer;
use crate::faults::Faults;
use crate::firewalls::Firewalls;
use crate::invariants::Violation;
use crate::node;
use crate::rest;
use crate::scenario::Scenario;

/// The result of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Number of machines.
    pub hosts: usize,
    /// Simulated seconds.
    pub seconds: f64,
    /// Hash of all events.
    pub trace: String,
    /// How often each kind of event happened.
    pub counts: BTreeMap<String, u64>,
    /// The violated invariant, the time, and what was seen.
    pub violation: Option<(String, f64, String)>,
}

// === impl Report ===

impl Report {
    /// The report of a run that exceeded its limit of real time: something in it waits forever, or loops.
    #[must_use]
    pub fn without_end(seed: u64, nodes: &RangeInclusive<usize>, limit: Duration) -> Self {
        let seen = format!("after {:.0} s of real time it was still running", limit.as_secs_f64());
        Self {
            seed,
            hosts: Scenario::of(seed, nodes).hosts,
            seconds: 0.0,
            trace: String::new(),
            counts: BTreeMap::new(),
            violation: Some(("comes-to-an-end".to_owned(), 0.0, seen)),
        }
    }
}

/// The interval of checks whether the cluster rests.
const LOOK: Duration = Duration::from_millis(50);
/// The cluster is left alone for this long after its start.
const QUIET: Duration = Duration::from_secs(3);

/// The first panic of any task: tokio would swallow it.
static PANIC: OnceLock<Mutex<Option<String>>> = OnceLock::new();

/// Runs a seed.
pub fn run(seed: u64, nodes: &RangeInclusive<usize>, bug: Option<Bug>, rivals: bool, print: bool) -> Report {
    note_panics();
    let scenario = Scenario { rivals, ..Scenario::of(seed, nodes) };
    let observer = Observer::new(print);
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(Duration::from_secs(24 * 3600))
        .tick_duration(scenario.tick)
        .min_message_latency(Duration::from_millis(*scenario.latency.start()))
        .max_message_latency(Duration::from_millis(*scenario.latency.end()))
        .tcp_capacity(65_536)
        .enable_random_order();
    let mut cluster = Cluster::start(builder.build(), &scenario, seed, &observer, bug);
    let clients = start_clients(&mut cluster, &scenario, seed);
    let mut faults = Faults::new(SmallRng::seed_from_u64(seed ^ 0xfa17), &scenario, QUIET);
    let mut firewalls = Firewalls::new(SmallRng::seed_from_u64(seed ^ 0xf12e), QUIET);

    let mut healed = false;
    let mut next_look = Duration::ZERO;
    loop {
        if let Err(error) = cluster.sim.step() {
            accuse(&observer, "no-error", error.to_string());
        }
        let now = cluster.sim.elapsed();
        observer.set_time(now);
        if let Some(panic) = PANIC.get().and_then(|panic| panic.lock().take()) {
            accuse(&observer, "no-panic", panic);
        }
        if observer.violation().is_some() {
            break;
        }
        let faults_end = QUIET + scenario.faults_for;
        if now < faults_end {
            faults.step(&mut cluster, now);
            firewalls.step(&cluster, now);
            continue;
        }
        if !healed {
            firewalls.heal(&cluster);
            faults.heal(&mut cluster);
            clients.stop.store(true, Ordering::Relaxed);
            healed = true;
        }
        faults.supervise(&mut cluster, now);
        if now < next_look {
            continue;
        }
        next_look = now + LOOK;
        let rests = rest::check(&cluster).and_then(|()| clients_ended(&clients, &scenario));
        match rests {
            Ok(()) => {
                observer.finish();
                break;
            }
            Err(missing) if now > faults_end + scenario.rest_within() => {
                let seen = format!("{} (still so {:?} after the last fault)", missing.seen, scenario.rest_within());
                observer.accuse(Violation { seen, ..missing });
                break;
            }
            Err(_) => {}
        }
    }
    report(seed, &scenario, &cluster, &observer)
}

fn start_clients(cluster: &mut Cluster, scenario: &Scenario, seed: u64) -> client::Shared {
    let addresses = cluster.hosts.iter().map(|host| node::address(&host.name)).collect();
    let shared = client::Shared {
        addresses: Arc::new(addresses),
        doors: cluster.doors.clone(),
        observer: cluster.observer.clone(),
        stop: Arc::new(AtomicBool::new(false)),
        ended: Arc::new(AtomicUsize::new(0)),
        processes: Arc::new(AtomicUsize::new(0)),
        values: Arc::new(AtomicU64::new(1)),
        keys: scenario.keys,
        think: scenario.think,
    };
    for number in 0..scenario.clients {
        let rng = SmallRng::seed_from_u64(seed.wrapping_mul(77).wrapping_add(number as u64));
        let work = client::run(shared.clone(), rng);
        cluster.sim.client(format!("client-{number}"), async move {
            work.await;
            Ok(())
        });
    }
    shared
}

fn clients_ended(clients: &client::Shared, scenario: &Scenario) -> Result<(), Violation> {
    let ended = clients.ended.load(Ordering::Relaxed);
    if ended == scenario.clients {
        return Ok(());
    }
    let seen = format!("{ended} of {} clients have their answer", scenario.clients);
    Err(Violation { invariant: "clients-are-served", seen })
}

fn accuse(observer: &Observer, invariant: &'static str, seen: String) {
    observer.accuse(Violation { invariant, seen });
}

fn note_panics() {
    PANIC.get_or_init(Mutex::default);
    std::panic::set_hook(Box::new(|panic| {
        if let Some(first) = PANIC.get() {
            first.lock().get_or_insert_with(|| panic.to_string());
        }
    }));
}

fn report(seed: u64, scenario: &Scenario, cluster: &Cluster, observer: &Observer) -> Report {
    let counts = observer.counts().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    let violation =
        observer.violation().map(|(at, violation)| (violation.invariant.to_owned(), at.as_secs_f64(), violation.seen));
    Report {
        seed,
        hosts: scenario.hosts,
        seconds: cluster.sim.elapsed().as_secs_f64(),
        trace: observer.trace(),
        counts,
        violation,
    }
}
