//! Known bugs that can be reintroduced, to verify that they are found. They exist only in the simulation.

use clap::ValueEnum;

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// A vote is answered before it is durable, so a node that crashes can vote twice.
    VoteNotDurable,
    /// Entries count as written before they are durable.
    AppendNotDurable,
    /// A retried command is applied again.
    ApplyWithoutDedup,
    /// A leader answers reads without confirming that it still leads.
    ReadWithoutQuorum,
    /// A killed leader continues to lead without an election. Entries that followers have and its own disk lost are replaced by
    /// others of the same index and leadership, which no node notices. `discod` did this once: it is openraft's default.
    LeaderRestore,
    /// A deposed leader's write for its term is forwarded to the next leader, which may have the same term: openraft lets
    /// several nodes lead in one term, one after the other. `discod` did this once. It takes two concurrent elections and a write
    /// between them, so it is rare without `--rivals`.
    ForwardInTerm,
}
