use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for another one: ids are used again, but not with the same time of start in the same boot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Process {
    /// The kernel's id of the boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// Process id.
    pub pid: i32,
    /// Clock ticks between the boot and the process's start (field 22 of `/proc/PID/stat`).
    pub start: u64,
}

impl Process {
    /// The process with this id, as it is now; `None` if there is none.
    #[must_use]
    pub fn find(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { boot: boot_id()?, pid, start: stat.start })
    }

    /// Whether it still runs. A zombie does not.
    #[must_use]
    pub fn runs(&self) -> bool {
        boot_id().is_some_and(|boot| boot == self.boot)
            && Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && !stat.has_ended())
    }

    /// A descriptor of the process, readable when it has ended; `None` if it has ended.
    #[must_use]
    pub fn open(&self) -> Option<OwnedFd> {
        let descriptor = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Checked after the descriptor was opened: from now on it cannot be another process.
        self.runs().then_some(descriptor)
    }
}

/// What `/proc/PID/stat` says.
pub(crate) struct Stat {
    state: char,
    pub parent: i32,
    threads: u32,
    pub start: u64,
}

impl Stat {
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, which may hold blanks and parentheses, ends at the last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // Fields 5 to 19 are between the parent (4) and the number of threads (20), one more before the start (22).
        let threads = fields.nth(15)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        Some(Self { state, parent, threads, start })
    }

    /// A process whose first thread has ended is shown as a zombie too, while its other threads run.
    pub fn has_ended(&self) -> bool {
        self.state == 'X' || (self.state == 'Z' && self.threads < 2)
    }
}

/// The kernel's id of this boot; `None` without `/proc`.
#[must_use]
pub fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned())
}

/// Milliseconds since the machine's start, including the time that it slept. No change of the wall clock moves it.
#[must_use]
pub fn boottime_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    // Neither part is ever negative.
    time.tv_sec.cast_unsigned() * 1_000 + time.tv_nsec.cast_unsigned() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_fields() {
        let fields: Vec<String> = (4..=30).map(|n| n.to_string()).collect();
        let stat = Stat::parse(&format!("17 (a) b (c) S {}", fields.join(" "))).unwrap();
        assert_eq!((stat.state, stat.parent, stat.threads, stat.start), ('S', 4, 20, 22));
    }

    #[test]
    fn a_process_whose_first_thread_ended_has_not_ended() {
        let state = |state, threads| Stat { state, parent: 1, threads, start: 1 }.has_ended();
        assert!(state('Z', 1) && state('Z', 0) && state('X', 1));
        assert!(!state('Z', 2) && !state('S', 1));
    }

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_id() {
        let own = Process::find(std::process::id().cast_signed()).unwrap();
        assert!(own.runs() && own.open().is_some());
        let other = Process { start: own.start + 1, ..own.clone() };
        assert!(!other.runs() && other.open().is_none());
        let earlier = Process { boot: "00000000-0000-0000-0000-000000000000".to_owned(), ..own };
        assert!(!earlier.runs());
    }
}
