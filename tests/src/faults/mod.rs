//! A cluster under faults, and the proof that it lost nothing.
//!
//! Real `discod` processes, each in its own network namespace with its own small disk; clients that write, read and
//! compare-and-set at once; a schedule of faults drawn from a seed; and at the end the checks: every key's history is
//! linearizable, the revisions are in the order of the operations, all nodes reported the same to their watchers, and every
//! acknowledged write is on every node. `disco-faults` is the command; a short run of it is among the tests.
//!
//! The schedule depends only on the seed, its effects also on the machine: with a failing seed a failure is likely, not
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

pub use clock::Clock;
pub use options::Options;
pub use run::run;
pub use summary::Summary;
