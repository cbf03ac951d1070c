//! The machines of a run, and the faults that can be applied to them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use turmoil::Sim;

use crate::bug::Bug;
use crate::doors::Doors;
use crate::events::{Event, Observer};
use crate::node::{self, Host, HostState};
use crate::scenario::Scenario;
use crate::storage::Disk;

/// All machines, numbered from 0.
pub struct Cluster {
    /// The simulator.
    pub sim: Sim<'static>,
    /// The machines.
    pub hosts: Vec<Host>,
    /// The observer.
    pub observer: Observer,
    /// Machines that are switched off.
    pub down: BTreeSet<usize>,
    /// The doors between the machines, and between them and clients.
    pub doors: Doors,
    /// Ids of nodes whose disks were lost.
    pub lost: BTreeSet<u64>,
    next_id: u64,
    cut: BTreeSet<(usize, usize)>,
}

// === impl Cluster ===

impl Cluster {
    /// Starts all machines. The cluster is founded on the first.
    pub fn start(mut sim: Sim<'static>, scenario: &Scenario, seed: u64, observer: &Observer, bug: Option<Bug>) -> Self {
        let names: Arc<Vec<String>> = Arc::new((0..scenario.hosts).map(|number| format!("host-{number}")).collect());
        let config = Arc::new(scenario.config(bug));
        let doors = Doors::default();
        let mut hosts = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let own_seed = seed.wrapping_mul(1000).wrapping_add(number as u64);
            let state = HostState {
                id: number as u64 + 1,
                founder: number == 0,
                disk: Disk::new(own_seed),
                lives: 0,
                process: None,
                verdict: None,
                transfer: false,
                elect: Arc::default(),
            };
            let host = Host {
                name: name.clone(),
                everybody: names.clone(),
                state: Arc::new(Mutex::new(state)),
                doors: doors.clone(),
                observer: observer.clone(),
                config: config.clone(),
                pace: scenario.pace,
                bug,
                rivals: scenario.rivals,
                seed: own_seed,
            };
            let software = host.clone();
            sim.host(name.as_str(), move || node::start(software.clone()));
            hosts.push(host);
        }
        let next_id = scenario.hosts as u64 + 1;
        let (down, lost, cut) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { sim, hosts, observer: observer.clone(), down, doors, lost, next_id, cut }
    }

    /// Kills a machine's process; data that its disk has not synced is lost.
    pub fn crash(&mut self, host: usize) {
        self.down.insert(host);
        let machine = &self.hosts[host];
        self.sim.crash(machine.name.as_str());
        let mut state = machine.state.lock();
        state.process = None;
        state.verdict = None;
        state.disk.crash();
        self.observer.tell(Event::Ended { node: state.id });
    }

    /// Restarts its process.
    pub fn restart(&mut self, host: usize) {
        if self.down.remove(&host) {
            self.sim.bounce(self.hosts[host].name.as_str());
        }
    }

    /// Kills a machine permanently and replaces it by a new one with an empty disk: a new node, with an id never used before.
    pub fn wipe(&mut self, host: usize) {
        self.crash(host);
        let mut state = self.hosts[host].state.lock();
        self.lost.insert(state.id);
        state.id = self.next_id;
        state.founder = false;
        state.disk.wipe();
        self.next_id += 1;
    }

    /// Machines whose process ended by itself since the last call. They count as crashed from now on.
    pub fn take_ended(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        for host in 0..self.hosts.len() {
            let name = self.hosts[host].name.clone();
            if !self.down.contains(&host) && !self.sim.is_host_running(name.as_str()) {
                self.crash(host);
                ended.push(host);
            }
        }
        ended
    }

    /// Drops exactly these messages, from one machine to another, from now on.
    pub fn cut(&mut self, cut: BTreeSet<(usize, usize)>) {
        for (from, to) in self.cut.difference(&cut) {
            self.sim.repair_oneway(self.hosts[*from].name.as_str(), self.hosts[*to].name.as_str());
        }
        for (from, to) in cut.difference(&self.cut) {
            self.sim.partition_oneway(self.hosts[*from].name.as_str(), self.hosts[*to].name.as_str());
        }
        self.cut = cut;
    }

    /// Sets the latency of messages from and to a machine, and the part of them that is lost.
    pub fn slow(&mut self, host: usize, latency: Duration, loss: f64) {
        for other in 0..self.hosts.len() {
            if other != host {
                let (from, to) = (self.hosts[host].name.as_str(), self.hosts[other].name.as_str());
                self.sim.set_link_max_message_latency(from, to, latency);
                self.sim.set_link_fail_rate(from, to, loss);
            }
        }
    }

    /// Number of a machine on which a process leads.
    pub fn leader(&self) -> Option<usize> {
        self.hosts.iter().position(|host| {
            host.state.lock().process.as_ref().is_some_and(|process| process.leadership().own_term.is_some())
        })
    }
}
