//! Known bugs that can be put back, to show that they are found. They exist in the simulation alone.

use clap::ValueEnum;

/// A mistake that somebody has made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// A vote is answered before it is durable, so a node that crashes can vote twice.
    VoteNotDurable,
    /// Entries count as written before they are durable.
    AppendNotDurable,
    /// A command that comes again is applied again.
    ApplyWithoutDedup,
    /// A leader answers reads without making sure that it still leads.
    ReadWithoutQuorum,
    /// A leader that was killed leads on without an election. Entries that followers have and its own disk lost get
    /// successors of the same index and leadership, so nobody notices. `discod` did this once: it is openraft's default.
    LeaderRestore,
    /// What a deposed leader wrote for its term is forwarded to the next leader, which may have the same term: openraft lets
    /// several nodes lead in one term, one after the other. `discod` did this once. It takes two elections at once and a write
    /// between them, so it is rare but with `--rivals`.
    ForwardInTerm,
}
