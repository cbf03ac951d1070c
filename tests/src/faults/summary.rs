use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The result of a run.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// The seed of the schedule.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// The duration of the faults, in seconds.
    pub seconds: f64,
    /// Processes ended by `kill -9`.
    pub kills: u64,
    /// How often each fault was made.
    pub faults: BTreeMap<String, u64>,
    /// Faults that are not possible here, and why.
    pub skipped: BTreeMap<String, String>,
    /// Operations with a known outcome.
    pub known: usize,
    /// Operations with an unknown outcome.
    pub unknown: usize,
    /// Keys whose histories were checked.
    pub keys: usize,
    /// Revisions that were compared between nodes.
    pub revisions: usize,
    /// The longest time without any answer, in milliseconds.
    pub longest_silence_ms: u64,
    /// Leaders that handed over because they were unreachable, according to the retained events.
    pub gave_way: usize,
    /// Damaged logs that a node refused, after which it joined anew; and those that it could repair.
    pub logs_refused: u64,
    /// See `logs_refused`.
    pub logs_mended: u64,
    /// The violations; should be empty.
    pub violations: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "seed {}, {} nodes, {:.0} s of faults, {} kills", self.seed, self.nodes, self.seconds, self.kills)?;
        writeln!(f, "faults: {}", faults.join(", "))?;
        for (kind, why) in &self.skipped {
            writeln!(f, "skipped: {kind}: {why}")?;
        }
        writeln!(
            f,
            "{} operations with a known outcome, {} without; {} histories checked, {} revisions compared",
            self.known, self.unknown, self.keys, self.revisions
        )?;
        writeln!(f, "longest time without an answer: {} ms", self.longest_silence_ms)?;
        writeln!(f, "leaders that could not be called and gave way: {}", self.gave_way)?;
        writeln!(f, "damaged logs: {} refused, {} mended", self.logs_refused, self.logs_mended)?;
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        write!(f, "{}", if self.violations.is_empty() { "no violation" } else { "FAILED" })
    }
}
