//! The faults of a run and their times, as a function of the seed.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::cluster::Cluster;
use crate::events::Event;
use crate::scenario::Scenario;
use crate::storage::DiskFault;

/// Machine numbers, from and to.
type Cut = BTreeSet<(usize, usize)>;

/// The faults of a run.
pub struct Faults {
    rng: SmallRng,
    gap: Duration,
    rivals: bool,
    next: Duration,
    usual_latency: Duration,
    /// The end times of the active faults.
    ends: Vec<(Duration, End)>,
    cuts: Vec<Cut>,
}

enum End {
    Restart(usize),
    Cut(Cut),
    MendDisk(usize),
    MendLinks(usize),
    Elect,
}

// === impl Faults ===

impl Faults {
    /// Makes faults from the given time on.
    pub fn new(rng: SmallRng, scenario: &Scenario, from: Duration) -> Self {
        let usual_latency = Duration::from_millis(*scenario.latency.end());
        let (gap, rivals) = (scenario.fault_gap, scenario.rivals);
        Self { rng, gap, rivals, next: from, usual_latency, ends: Vec::new(), cuts: Vec::new() }
    }

    /// Ends due faults, and starts a new one if it is time.
    pub fn step(&mut self, cluster: &mut Cluster, now: Duration) {
        self.end_due(cluster, now);
        for host in cluster.take_ended() {
            self.end_in(now, 200..=3000, End::Restart(host));
        }
        if now >= self.next {
            self.next = now + self.time(0..=2 * u64::try_from(self.gap.as_millis()).unwrap_or(1000));
            self.begin(cluster, now);
        }
    }

    /// Ends everything.
    pub fn heal(&mut self, cluster: &mut Cluster) {
        for (at, _) in &mut self.ends {
            *at = Duration::ZERO;
        }
        self.end_due(cluster, Duration::ZERO);
        cluster.observer.tell(Event::Fault("all is healed".to_owned()));
    }

    /// Restarts processes that ended by themselves; used while there are no faults.
    pub fn supervise(&mut self, cluster: &mut Cluster, now: Duration) {
        self.end_due(cluster, now);
        for host in cluster.take_ended() {
            self.end_in(now, 200..=3000, End::Restart(host));
        }
    }

    fn end_due(&mut self, cluster: &mut Cluster, now: Duration) {
        let (due, later) = std::mem::take(&mut self.ends).into_iter().partition(|(at, _)| *at <= now);
        self.ends = later;
        let due: Vec<(Duration, End)> = due;
        for (_, end) in due {
            match end {
                End::Restart(host) => cluster.restart(host),
                End::MendDisk(host) => cluster.hosts[host].state.lock().disk.mend(),
                End::MendLinks(host) => cluster.slow(host, self.usual_latency, 0.0),
                End::Elect => cluster.hosts.iter().for_each(|host| host.state.lock().elect.notify_one()),
                End::Cut(cut) => {
                    if let Some(place) = self.cuts.iter().position(|known| *known == cut) {
                        self.cuts.remove(place);
                    }
                    self.cut(cluster);
                }
            }
        }
    }

    fn begin(&mut self, cluster: &mut Cluster, now: Duration) {
        let host = self.victim(cluster);
        if self.rivals && self.rng.random_bool(0.5) {
            return self.race(cluster, now);
        }
        match self.rng.random_range(0..100) {
            0..25 => {
                let time = if self.rng.random_bool(0.5) { self.time(0..=300) } else { self.time(300..=15_000) };
                self.crash(cluster, host, now + time);
            }
            25..28 => {
                let time = self.time(0..=5000);
                (0..cluster.hosts.len()).for_each(|host| self.crash(cluster, host, now + time));
            }
            28..50 => self.partition(cluster, now),
            50..62 => {
                let others = (0..cluster.hosts.len()).filter(|other| *other != host);
                let deaf = self.rng.random_bool(0.5);
                let cut = others.map(|other| if deaf { (other, host) } else { (host, other) }).collect();
                tell(
                    cluster,
                    format!("host {host} {}", if deaf { "receives nothing" } else { "reaches no other host" }),
                );
                self.begin_cut(cluster, cut, now);
            }
            62..72 => {
                let (latency, loss) = (self.time(50..=800), self.rng.random_range(0.0..0.2));
                tell(cluster, format!("host {host} has links of up to {latency:?} that lose {loss:.2}"));
                cluster.slow(host, latency, loss);
                self.end_in(now, 500..=8000, End::MendLinks(host));
            }
            72..80 => {
                let time = self.time(50..=2000);
                tell(cluster, format!("host {host} syncs in {time:?}"));
                cluster.hosts[host].state.lock().disk.fault(DiskFault::Slow(time));
                self.end_in(now, 500..=8000, End::MendDisk(host));
            }
            80..86 => {
                tell(cluster, format!("host {host} cannot sync"));
                cluster.hosts[host].state.lock().disk.fault(DiskFault::Fail);
            }
            86..95 => {
                tell(cluster, "leadership transfer requested".to_owned());
                cluster.hosts.iter().for_each(|host| host.state.lock().transfer = true);
            }
            _ => {
                if self.may_lose(cluster, host) {
                    tell(cluster, format!("host {host} is replaced by one with an empty disk"));
                    cluster.wipe(host);
                    self.end_in(now, 0..=5000, End::Restart(host));
                }
            }
        }
    }

    /// A random host, often the leader.
    fn victim(&mut self, cluster: &Cluster) -> usize {
        match cluster.leader() {
            Some(leader) if self.rng.random_bool(0.4) => leader,
            _ => self.rng.random_range(0..cluster.hosts.len()),
        }
    }

    fn crash(&mut self, cluster: &mut Cluster, host: usize, until: Duration) {
        if !cluster.down.contains(&host) {
            tell(cluster, format!("host {host} crashes, until {:.3}s", until.as_secs_f64()));
            cluster.crash(host);
            self.ends.push((until, End::Restart(host)));
        }
    }

    /// Crashes all at once: no node knows a leader afterwards, so each may be elected, one after the other in the same term.
    fn race(&mut self, cluster: &mut Cluster, now: Duration) {
        let back = now + self.time(0..=200);
        (0..cluster.hosts.len()).for_each(|host| self.crash(cluster, host, back));
        self.end_in(back, 20..=150, End::Elect);
    }

    /// Partitions two sides, in both directions or in one.
    fn partition(&mut self, cluster: &mut Cluster, now: Duration) {
        let count = cluster.hosts.len();
        let side: BTreeSet<usize> = (0..count).filter(|_| self.rng.random_bool(0.5)).collect();
        let both = self.rng.random_bool(0.7);
        let mut cut = Cut::new();
        for from in 0..count {
            for to in 0..count {
                let (from_in, to_in) = (side.contains(&from), side.contains(&to));
                if (from_in && !to_in) || (both && !from_in && to_in) {
                    cut.insert((from, to));
                }
            }
        }
        tell(cluster, format!("hosts {side:?} are cut off{}", if both { "" } else { ", but receive messages" }));
        self.begin_cut(cluster, cut, now);
    }

    fn begin_cut(&mut self, cluster: &mut Cluster, cut: Cut, now: Duration) {
        self.cuts.push(cut.clone());
        self.cut(cluster);
        self.end_in(now, 200..=10_000, End::Cut(cut));
    }

    fn cut(&self, cluster: &mut Cluster) {
        cluster.cut(self.cuts.iter().flatten().copied().collect());
    }

    /// A disk may be lost if a majority of the voters keeps theirs: no protocol survives more. Only if all nodes know the same
    /// voters, so that the voters are certain.
    fn may_lose(&self, cluster: &Cluster, host: usize) -> bool {
        let mut known = Vec::new();
        for machine in &cluster.hosts {
            let state = machine.state.lock();
            let Some(process) = &state.process else { return false };
            let metrics = process.raft.raft().metrics();
            known.push(metrics.borrow_watched().membership_config.clone());
        }
        let Some(first) = known.first() else { return false };
        let sets = first.membership().get_joint_config();
        let [voters] = sets.as_slice() else { return false };
        let id = cluster.hosts[host].state.lock().id;
        let remaining = voters.iter().filter(|voter| **voter != id && !cluster.lost.contains(voter)).count();
        known.iter().all(|other| other == first) && remaining * 2 > voters.len()
    }

    fn end_in(&mut self, now: Duration, millis: std::ops::RangeInclusive<u64>, end: End) {
        let at = now + self.time(millis);
        self.ends.push((at, end));
    }

    fn time(&mut self, millis: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(millis))
    }
}

fn tell(cluster: &Cluster, what: String) {
    cluster.observer.tell(Event::Fault(what));
}
