use clap::ValueEnum;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::Serialize;

/// What can happen to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `kill -9` of a node, which is started again.
    Kill,
    /// The same for the leader.
    KillLeader,
    /// The same for all at once.
    KillAll,
    /// SIGSTOP, and SIGCONT later.
    Pause,
    /// The same for the leader.
    PauseLeader,
    /// Some nodes do not hear some others.
    CutOneWay,
    /// Two sets of nodes do not hear each other.
    CutTwoWay,
    /// Nobody can call a node, or it can call nobody: all connections of one direction are lost.
    ClosePort,
    /// The same for connections that are made from now on.
    CutNew,
    /// The same for those that are there.
    CutEstablished,
    /// A part of the packets to and from a node is lost.
    Loss,
    /// Packets to and from a node are late.
    Delay,
    /// A node's disk has no room.
    FullDisk,
    /// A node's log is cut off or has a flipped byte when it is started.
    DamagedLog,
    /// A node's clock is set forward or back.
    Clock,
    /// Leadership is handed over.
    MoveLeader,
    /// A node is removed, and another joins with an empty disk.
    Replace,
    /// A node comes back at another address.
    Move,
}

/// One fault of the schedule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fault {
    /// What happens.
    pub(super) kind: Kind,
    /// Index of the node that it happens to, where it is one that is not chosen by its role.
    pub(super) node: usize,
    /// A second one.
    pub(super) other: usize,
    /// How long it lasts.
    pub(super) millis: u64,
    /// A number that the fault makes use of: where the damage is, by how much a clock is off.
    pub(super) dice: u64,
}

impl Kind {
    /// Those that tell connections apart.
    pub(super) const OF_CONNECTIONS: [Self; 3] = [Self::ClosePort, Self::CutNew, Self::CutEstablished];

    /// Whether it kills processes.
    #[must_use]
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Fault {
    /// The next one of the schedule.
    pub(super) fn draw(random: &mut StdRng, kinds: &[Kind], nodes: usize) -> Self {
        let node = random.random_range(0..nodes);
        Self {
            kind: *kinds.choose(random).expect("there are kinds"),
            node,
            other: (node + random.random_range(1..nodes.max(2))) % nodes,
            // Below and above an election's time.
            millis: *[50, 200, 600, 1500, 3000].choose(random).expect("there are some"),
            dice: random.random(),
        }
    }
}
