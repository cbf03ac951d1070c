//! Gives back memory that an idle daemon does not need: pages of its own program file.
//!
//! Of the megabytes of code that are mapped, an idle daemon runs a small part, but everything that start-up and bursts have
//! touched stays resident. Pages of the file that nothing has changed can be dropped at no loss: the kernel's cache still
//! holds them, and the few that are needed come back within a second. Pages that were changed (relocations) must
//! not be dropped, since they would come back as they are in the file; so a mapping with any such page is left alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

/// After the start, when what only starting needs has run.
const FIRST: Duration = Duration::from_secs(2);
/// As often as `health` hooks run and touch the engine. It costs half a millisecond, and the pages that come back another.
const INTERVAL: Duration = Duration::from_secs(10);
/// Bit of an entry of `/proc/self/pagemap`: the page is one of a file (kernel's `pagemap.rst`).
const FILE_PAGE: u64 = 1 << 61;
/// The page is in memory, or swapped.
const PRESENT: u64 = 0b11 << 62;
const PAGE: u64 = 4096;

/// Drops pages now and then, until the process ends.
pub async fn run() {
    let mut ticks = tokio::time::interval_at(Instant::now() + FIRST, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = drop_pages() {
            // It costs memory, no more: not on every system is there a pagemap.
            return tracing::debug!(%error, "pages of the program are not dropped");
        }
    }
}

/// Drops the unchanged pages of this program's read-only mappings.
fn drop_pages() -> std::io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let program = program.to_string_lossy().into_owned();
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let pagemap = File::open("/proc/self/pagemap")?;
    for (start, end) in read_only(&maps, &program) {
        if unchanged(&pagemap, start, end)? {
            advise(start, end)?;
        }
    }
    Ok(())
}

/// The read-only mappings of a file, as `/proc/self/maps` lists them.
fn read_only<'a>(maps: &'a str, file: &'a str) -> impl Iterator<Item = (u64, u64)> + 'a {
    maps.lines().filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        let path = fields.nth(3)?;
        let (start, end) = range.split_once('-')?;
        (matches!(permissions, "r-xp" | "r--p") && path == file)
            .then(|| Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?)))
            .flatten()
    })
}

/// Whether all pages of the range that are in memory are the file's own.
fn unchanged(pagemap: &File, start: u64, end: u64) -> std::io::Result<bool> {
    let pages = usize::try_from((end - start) / PAGE).map_err(std::io::Error::other)?;
    let mut entries = vec![0; pages * 8];
    pagemap.read_exact_at(&mut entries, start / PAGE * 8)?;
    Ok(entries.chunks_exact(8).all(|entry| {
        let entry = entry.try_into().map_or(u64::MAX, u64::from_ne_bytes);
        entry & PRESENT == 0 || entry & FILE_PAGE != 0
    }))
}

#[expect(unsafe_code, reason = "memory is given back by a system call on addresses")]
fn advise(start: u64, end: u64) -> std::io::Result<()> {
    let length = usize::try_from(end - start).map_err(std::io::Error::other)?;
    let start = std::ptr::with_exposed_provenance_mut(usize::try_from(start).map_err(std::io::Error::other)?);
    // SAFETY: the range is a read-only private mapping of this program's file, which lives as long as the process, and none of
    // its pages differs from the file (checked by the caller; as it is not writable none can come to differ). Dropping such
    // pages changes nothing that can be read: they are read from the file again.
    unsafe { rustix::mm::madvise(start, length, rustix::mm::Advice::LinuxDontNeed)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00400000-00500000 r--p 00000000 fe:00 1 /opt/discod
00500000-00900000 r-xp 00100000 fe:00 1 /opt/discod
00900000-00901000 rw-p 00500000 fe:00 1 /opt/discod
7f0000000000-7f0000100000 r-xp 00000000 fe:00 2 /lib/libc.so
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
";

    #[test]
    fn only_read_only_mappings_of_the_program_are_found() {
        let found: Vec<_> = read_only(MAPS, "/opt/discod").collect();
        assert_eq!(found, [(0x40_0000, 0x50_0000), (0x50_0000, 0x90_0000)]);
    }

    #[test]
    fn the_program_runs_on_without_its_pages() {
        drop_pages().unwrap();
        // Code and constants are read again.
        assert_eq!(format!("{:>5}", 42), "   42");
    }
}
