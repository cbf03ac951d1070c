use clap::ValueEnum;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::Serialize;

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `kill -9` of a node, which is started again.
    Kill,
    /// The same for the leader.
    KillLeader,
    /// The same for all nodes at once.
    KillAll,
    /// SIGSTOP, and SIGCONT later.
    Pause,
    /// The same for the leader.
    PauseLeader,
    /// Messages from some nodes to some others are lost.
    CutOneWay,
    /// A partition: messages between two sets of nodes are lost.
    CutTwoWay,
    /// A node cannot be reached, or cannot reach others: all connections in one direction are lost.
    ClosePort,
    /// The same for new connections.
    CutNew,
    /// The same for existing connections.
    CutEstablished,
    /// A part of the packets to and from a node is lost.
    Loss,
    /// Packets to and from a node are delayed.
    Delay,
    /// A node's disk is full.
    FullDisk,
    /// A node's log is truncated or has a flipped byte when the node is started.
    DamagedLog,
    /// A node's clock is set forward or back.
    Clock,
    /// Leadership is transferred.
    MoveLeader,
    /// A node is removed, and another joins with an empty disk.
    Replace,
    /// A node comes back at another address.
    Move,
}

/// One fault of the schedule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fault {
    /// The kind.
    pub(super) kind: Kind,
    /// Index of the affected node, unless it is chosen by its role.
    pub(super) node: usize,
    /// A second one.
    pub(super) other: usize,
    /// How long it lasts.
    pub(super) millis: u64,
    /// A random number for the fault's details: the place of the damage, the offset of a clock.
    pub(super) dice: u64,
}

impl Kind {
    /// Whether it distinguishes connections.
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
            // Below and above the election timeout.
            millis: *[50, 200, 600, 1500, 3000].choose(random).expect("there are some"),
            dice: random.random(),
        }
    }
}
