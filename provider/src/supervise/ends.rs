//! Unexpected ends of the program: `ends.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SuperviseError;
use crate::files;

/// How many ends are stored with their time.
const KEPT: usize = 16;
/// This many of them within [`LOOP_WITHIN_MS`] are a crash loop.
const LOOP: usize = 3;
/// Longer than the pauses between that many starts, and short enough for a recovered program to leave the crash loop soon.
const LOOP_WITHIN_MS: u64 = 120_000;
/// A program that has run for longer than the longest pause before a start may have recovered.
const STAYS_UP_MS: u64 = 10_000;

/// The record of the program's unexpected ends. Fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ends {
    /// How many there were since the service was installed.
    pub count: u64,
    /// The times of the last ones, in milliseconds since 1970, newest first.
    pub at_ms: Vec<i64>,
    /// The kind of the last one: `exit code 1`, `signal 6 (SIGABRT)`, `killed by the kernel: out of memory`.
    pub how: String,
    /// The program's last output if that is the reason, else empty.
    pub words: String,
}

/// The same with ages instead of times, as the receiver has another clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndsTold {
    /// As in [`Ends`].
    pub count: u64,
    /// The ages of the last ones, in milliseconds, newest first.
    pub ago_ms: Vec<u64>,
    /// As in [`Ends`].
    pub how: String,
    /// As in [`Ends`].
    pub words: String,
}

// === impl Ends ===

impl Ends {
    /// The name of the file in the service's folder.
    pub const FILE: &str = "ends.json";

    /// Reads the record. A missing or unreadable file counts as empty: it must not prevent a start.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let text = files::read_if_exists(&dir.join(Self::FILE)).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Adds an end.
    pub fn add(&mut self, at_ms: i64, how: String, words: String) {
        self.count = self.count.saturating_add(1);
        self.at_ms.insert(0, at_ms);
        self.at_ms.truncate(KEPT);
        (self.how, self.words) = (how, words);
    }

    /// Writes the record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), SuperviseError> {
        let path = dir.join(Self::FILE);
        let text = serde_json::to_vec(self).unwrap_or_default();
        files::write_atomically(&path, &text, 0o600).map_err(SuperviseError::io("write", path))
    }

    /// Converts times to ages, at a time in milliseconds since 1970.
    #[must_use]
    pub fn told(&self, now_ms: i64) -> EndsTold {
        // An end in the future: the clock was set back since, so its age is unknown.
        let ago = |at: &i64| u64::try_from(now_ms.checked_sub(*at)?).ok();
        EndsTold {
            count: self.count,
            ago_ms: self.at_ms.iter().filter_map(ago).collect(),
            how: self.how.clone(),
            words: self.words.clone(),
        }
    }
}

// === impl EndsTold ===

impl EndsTold {
    /// The ages of the ends that count for a crash loop, `later_ms` after this was made, newest first.
    #[must_use]
    pub fn recent(&self, later_ms: u64) -> Vec<u64> {
        let ages = self.ago_ms.iter().map(|ago| ago.saturating_add(later_ms));
        ages.filter(|age| *age <= LOOP_WITHIN_MS).collect()
    }

    /// Whether the program is in a crash loop.
    #[must_use]
    pub fn is_loop(&self, later_ms: u64) -> bool {
        self.recent(later_ms).len() >= LOOP
    }

    /// The same, and its last end was just now.
    #[must_use]
    pub fn keeps_ending(&self, later_ms: u64) -> bool {
        self.is_loop(later_ms) && self.recent(later_ms).first().is_some_and(|age| *age <= STAYS_UP_MS)
    }

    /// How often it ended recently and how, as a clause: `ended 5 times in the last 40 s: exit code 1: cannot open …`.
    #[must_use]
    pub fn describe(&self, later_ms: u64) -> String {
        let recent = self.recent(later_ms);
        let often = match (recent.len(), recent.last(), self.ago_ms.first()) {
            (2.., Some(first), _) => format!("ended {} times in the last {}", recent.len(), time(*first)),
            (_, _, Some(last)) => format!("ended {} ago", time(last.saturating_add(later_ms))),
            (_, _, None) => "ended".to_owned(),
        };
        format!("{often}: {}", self.cause())
    }

    /// The kind of the last end, and the program's reason.
    #[must_use]
    pub fn cause(&self) -> String {
        if self.words.is_empty() { self.how.clone() } else { format!("{}: {}", self.how, self.words) }
    }
}

/// A duration as text, rounded up.
fn time(ms: u64) -> String {
    match ms.div_ceil(1000) {
        seconds @ 0..120 => format!("{} s", seconds.max(1)),
        seconds @ 120..7200 => format!("{} minutes", seconds.div_ceil(60)),
        seconds @ 7200..172_800 => format!("{} hours", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ends_are_kept_and_all_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut ends = Ends::read(dir.path());
        assert_eq!(ends, Ends::default());
        for at in 0..40 {
            ends.add(at * 1000, "exit code 1".to_owned(), format!("the {at}th"));
        }
        ends.write(dir.path()).unwrap();
        let read = Ends::read(dir.path());
        assert_eq!((read.count, read.at_ms.len(), read.at_ms[0]), (40, KEPT, 39_000));
        let told = read.told(40_000);
        assert_eq!((told.ago_ms[0], told.cause().as_str()), (1000, "exit code 1: the 39th"));
        // After a clock was set back the program does not seem to have just ended.
        assert_eq!(read.told(30_000).ago_ms.len(), KEPT - 9);
        assert!(!read.told(0).is_loop(0));
        std::fs::write(dir.path().join(Ends::FILE), "no json").unwrap();
        assert_eq!(Ends::read(dir.path()), Ends::default());
    }

    #[test]
    fn a_program_that_ends_again_and_again_does_not_stay_up_until_it_has() {
        let told = EndsTold { count: 9, ago_ms: vec![2_000, 7_000, 12_000], ..EndsTold::default() };
        assert!(told.is_loop(0) && told.keeps_ending(0) && told.keeps_ending(8_000));
        assert!(told.is_loop(9_000) && !told.keeps_ending(9_000));
        assert!(!told.is_loop(115_000));
        let twice = EndsTold { ago_ms: vec![2_000, 7_000, 300_000], ..told };
        assert!(!twice.is_loop(0));
    }

    #[test]
    fn it_is_said_how_often_when_and_why() {
        let told = EndsTold {
            count: 5,
            ago_ms: vec![1_000, 8_000, 40_100],
            how: "exit code 1".to_owned(),
            words: "cannot open".to_owned(),
        };
        assert_eq!(told.describe(0), "ended 3 times in the last 41 s: exit code 1: cannot open");
        assert_eq!(told.describe(600_000), "ended 11 minutes ago: exit code 1: cannot open");
        let killed = EndsTold { ago_ms: vec![200], how: "signal 9 (SIGKILL)".to_owned(), ..EndsTold::default() };
        assert_eq!(killed.describe(0), "ended 1 s ago: signal 9 (SIGKILL)");
    }
}
