//! Keeps the daemon's memory small: by its [allocator], and by dropping pages of its own program file that it does not
//! need.
//!
//! An idle daemon runs a small part of the megabytes of mapped code, but everything that start-up and bursts have
//! touched stays resident. Unchanged pages of the file can be dropped without loss: the kernel's cache still holds
//! them, and the few needed ones return within a second, [one by one](fault_around). Changed pages (relocations) must
//! not be dropped, since they would return as they are in the file; so a mapping with any such page is left alone.
//!
//! Pages are dropped periodically, and soon after a script was called: the engine's code is a megabyte, and an idle node
//! calls the hook `health` every ten seconds.

mod allocator;
mod fault_around;
mod mappings;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use self::fault_around::SinglePages;
use self::mappings::Mapping;

/// Delay after the start, once code that only the start needs has run.
const FIRST: Duration = Duration::from_secs(2);
/// Longest time between two passes. A pass costs half a millisecond, and the pages that return another.
const INTERVAL: Duration = Duration::from_secs(10);
/// Delay after a script's call, in which its outcome is used.
const AFTER_CALL: Duration = Duration::from_millis(300);
/// Shortest time between two passes: on a leader one call may follow the other.
const SHORTEST: Duration = Duration::from_secs(3);
/// Bit of an entry of `/proc/self/pagemap`: the page belongs to a file (kernel's `pagemap.rst`).
const FILE_PAGE: u64 = 1 << 61;
/// The page is in memory, or swapped.
const PRESENT: u64 = 0b11 << 62;
const PAGE: u64 = 4096;

/// Drops pages until the process ends. `calls` reports the ends of scripts' calls.
pub async fn run(mut calls: watch::Receiver<()>) {
    sleep(FIRST).await;
    let _single_pages = single_pages();
    loop {
        if let Err(error) = drop_pages() {
            // This only costs memory: not every system has a pagemap.
            return tracing::debug!(%error, "cannot drop pages of the program");
        }
        next_pass(Instant::now(), &mut calls).await;
    }
}

/// Returns when the next pass is due after the one at `last`.
async fn next_pass(last: Instant, calls: &mut watch::Receiver<()>) {
    tokio::select! {
        Ok(()) = calls.changed() => sleep_until((last + SHORTEST).max(Instant::now() + AFTER_CALL)).await,
        () = sleep_until(last + INTERVAL) => {}
    }
    // The pass covers the calls until now.
    calls.mark_unchanged();
}

/// While this is held, pages return one by one; if the kernel does not support that, many at a time.
fn single_pages() -> Option<SinglePages> {
    let begun = mappings::of_this_program().and_then(|mappings| SinglePages::begin(&mappings));
    begun.inspect_err(|error| tracing::debug!(%error, "the kernel maps many pages of the program at a time")).ok()
}

/// Drops the unchanged pages of this program's read-only mappings.
fn drop_pages() -> std::io::Result<()> {
    let pagemap = File::open("/proc/self/pagemap")?;
    for mapping in mappings::of_this_program()? {
        if unchanged(&pagemap, mapping)? {
            advise(mapping)?;
        }
    }
    Ok(())
}

/// Whether all pages of the range that are in memory are the file's own.
fn unchanged(pagemap: &File, Mapping { start, end }: Mapping) -> std::io::Result<bool> {
    let pages = usize::try_from((end - start) / PAGE).map_err(std::io::Error::other)?;
    let mut entries = vec![0; pages * 8];
    pagemap.read_exact_at(&mut entries, start / PAGE * 8)?;
    Ok(entries.chunks_exact(8).all(|entry| {
        let entry = entry.try_into().map_or(u64::MAX, u64::from_ne_bytes);
        entry & PRESENT == 0 || entry & FILE_PAGE != 0
    }))
}

#[expect(unsafe_code, reason = "memory is given back by a system call on addresses")]
fn advise(Mapping { start, end }: Mapping) -> std::io::Result<()> {
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

    #[tokio::test(start_paused = true)]
    async fn a_pass_follows_a_call_and_many_calls_share_one() {
        let sender = watch::Sender::new(());
        let mut calls = sender.subscribe();
        let last = Instant::now();
        next_pass(last, &mut calls).await;
        assert_eq!(last.elapsed(), INTERVAL, "without calls");

        let last = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        sender.send_replace(());
        next_pass(last, &mut calls).await;
        assert_eq!(last.elapsed(), Duration::from_secs(5) + AFTER_CALL);

        let last = Instant::now();
        for _ in 0..100 {
            sender.send_replace(());
        }
        next_pass(last, &mut calls).await;
        assert_eq!(last.elapsed(), SHORTEST);
        let last = Instant::now();
        next_pass(last, &mut calls).await;
        assert_eq!(last.elapsed(), INTERVAL, "they shared the previous pass");
    }

    #[test]
    fn the_program_runs_on_without_its_pages() {
        drop_pages().unwrap();
        // Code and constants are read again.
        assert_eq!(format!("{:>5}", 42), "   42");
    }
}
