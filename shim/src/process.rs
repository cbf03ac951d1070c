use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
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
    ///
    /// # Errors
    /// It cannot be known, for want of descriptors or of `/proc`.
    pub fn find(pid: i32) -> io::Result<Option<Self>> {
        let boot = boot_id()?;
        Ok(Stat::read(pid)?.map(|stat| Self { boot, pid, start: stat.start }))
    }

    /// Whether it still runs. A zombie does not.
    ///
    /// # Errors
    /// It cannot be known, for want of descriptors or of `/proc`. It may well run.
    pub fn runs(&self) -> io::Result<bool> {
        Ok(boot_id()? == self.boot
            && Stat::read(self.pid)?.is_some_and(|stat| stat.start == self.start && !stat.has_ended()))
    }

    /// Kills it. Does nothing if it has ended.
    ///
    /// # Errors
    /// It cannot be known whether it runs.
    pub fn kill(&self) -> io::Result<()> {
        if self.runs()? {
            crate::descendants::kill_one(self.pid, self.start);
        }
        Ok(())
    }

    /// A descriptor of the process, readable when it has ended; `None` if it has ended.
    ///
    /// # Errors
    /// None can be opened, or it cannot be known whether the process runs.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            // A kernel may refuse one for a zombie.
            Err(error) => return if self.runs()? { Err(error.into()) } else { Ok(None) },
        };
        // Checked after the descriptor was opened: from now on it cannot be another process.
        Ok(self.runs()?.then_some(descriptor))
    }
}

/// What `/proc/PID/stat` says.
pub(crate) struct Stat {
    state: char,
    pub parent: i32,
    threads: u32,
    pub start: u64,
    /// Clock ticks of processor time that it has used.
    pub ticks: u64,
    /// The same of its children that it has waited for, with theirs.
    pub ended_ticks: u64,
    /// Pages of memory.
    pub pages: u64,
}

impl Stat {
    /// `None`: there is no such process. An error: nothing is known of it.
    pub fn read(pid: i32) -> io::Result<Option<Self>> {
        let text = match std::fs::read(format!("/proc/{pid}/stat")) {
            Ok(text) => text,
            Err(error) if has_vanished(&error) => return Ok(None),
            Err(error) => return Err(io::Error::new(error.kind(), format!("`/proc/{pid}/stat`: {error}"))),
        };
        // A name need not be text.
        let stat = Self::parse(&String::from_utf8_lossy(&text));
        stat.map(Some).ok_or_else(|| io::Error::other(format!("`/proc/{pid}/stat` is not valid")))
    }

    /// The name, which may hold blanks and parentheses, ends at the last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // Fields 5 to 13 are between the parent (4) and the times (14 to 17); 18 and 19 before the number of threads (20), one
        // more before the start (22), and one before the pages (24).
        let ticks = fields.nth(9)?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        // Of children, signed in the kernel's own documentation.
        let ended = [fields.next()?, fields.next()?].map(|field| field.parse::<u64>().unwrap_or(0));
        let threads = fields.nth(2)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        let pages = fields.nth(1)?.parse().ok()?;
        Some(Self { state, parent, threads, start, ticks, ended_ticks: ended[0] + ended[1], pages })
    }

    /// A process whose first thread has ended is shown as a zombie too, while its other threads run.
    pub fn has_ended(&self) -> bool {
        self.state == 'X' || (self.state == 'Z' && self.threads < 2)
    }
}

/// Whether a file of `/proc` is absent because its process has ended.
pub(crate) fn has_vanished(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// The kernel's id of this boot.
///
/// # Errors
/// It cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
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
        assert_eq!((stat.ticks, stat.ended_ticks, stat.pages), (14 + 15, 16 + 17, 24));
    }

    #[test]
    fn only_what_the_kernel_does_not_know_has_ended() {
        let vanished = |errno: Errno| has_vanished(&errno.into());
        assert!(vanished(Errno::NOENT) && vanished(Errno::SRCH));
        assert!(!vanished(Errno::MFILE) && !vanished(Errno::NFILE) && !vanished(Errno::NOMEM));
        assert!(Stat::read(i32::MAX).unwrap().is_none());
    }

    #[test]
    fn a_process_whose_first_thread_ended_has_not_ended() {
        let state = |state, threads| {
            Stat { state, parent: 1, threads, start: 1, ticks: 0, ended_ticks: 0, pages: 0 }.has_ended()
        };
        assert!(state('Z', 1) && state('Z', 0) && state('X', 1));
        assert!(!state('Z', 2) && !state('S', 1));
    }

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_id() {
        let own = Process::find(std::process::id().cast_signed()).unwrap().unwrap();
        assert!(own.runs().unwrap() && own.open().unwrap().is_some());
        let other = Process { start: own.start + 1, ..own.clone() };
        assert!(!other.runs().unwrap() && other.open().unwrap().is_none());
        let earlier = Process { boot: "00000000-0000-0000-0000-000000000000".to_owned(), ..own };
        assert!(!earlier.runs().unwrap());
    }
}
