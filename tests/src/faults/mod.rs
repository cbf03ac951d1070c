//! A cluster under faults, and the proof that it lost nothing.
//!
//! Real `discod` processes, each in its own network namespace with a small disk of its own; clients that write, read and
//! compare-and-set at once; a schedule of faults drawn from a seed; and at the end the checks: every key's history is
//! linearizable, the revisions are in the order in which things happened, all nodes told their watchers the same, and what
//! was acknowledged is on every node. `disco-faults` is the command; a short run of it is among the tests.
//!
//! The schedule depends on the seed alone, what comes of it also on the machine: a failing seed makes a failure likely, not
//! certain.

mod check;
mod clients;
mod clock;
mod cluster;
mod fault;
mod history;
mod network;
mod options;
mod run;
mod summary;
mod watchers;

pub use options::Options;
pub use run::run;
pub use summary::Summary;
