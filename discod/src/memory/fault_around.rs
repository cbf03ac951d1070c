//! Makes the kernel map the program's pages one by one.
//!
//! On a fault in a file's mapping Linux maps the 64 KiB around it, if they are in the cache (`fault_around_bytes`),
//! since most programs soon touch the neighbours. An idle daemon does not: within a second of dropping them 6.9 MB came
//! back that way, and 2.7 MB one by one. The kernel skips this for mappings whose writes a userfaultfd tracks
//! (`uffd_disable_fault_around` in `mm/memory.c`). Tracking without a handler (`UFFD_FEATURE_WP_ASYNC`, Linux 6.7)
//! costs nothing for pages that are never written, and the mode without faults of the kernel itself needs no
//! privileges.

use std::io;
use std::os::fd::OwnedFd;

use linux_raw_sys::general::{
    _UFFDIO_API, _UFFDIO_REGISTER, UFFD_API, UFFD_FEATURE_WP_ASYNC, UFFD_USER_MODE_ONLY, UFFDIO,
    UFFDIO_REGISTER_MODE_WP, uffdio_api, uffdio_range, uffdio_register,
};
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::mm::{UserfaultfdFlags, userfaultfd};

use super::mappings::Mapping;

const API: Opcode = opcode::read_write::<uffdio_api>(UFFDIO as u8, _UFFDIO_API as u8);
const REGISTER: Opcode = opcode::read_write::<uffdio_register>(UFFDIO as u8, _UFFDIO_REGISTER as u8);

/// While this exists, the mappings that it was created for get their pages one by one.
#[derive(Debug)]
pub(super) struct SinglePages {
    _tracker: OwnedFd,
}

impl SinglePages {
    /// Starts with these mappings, which must belong to this process.
    ///
    /// # Errors
    /// The kernel is older than 6.7 or does not allow it.
    #[expect(unsafe_code, reason = "creates a userfaultfd and registers addresses")]
    pub(super) fn begin(mappings: &[Mapping]) -> io::Result<Self> {
        let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::from_bits_retain(UFFD_USER_MODE_ONLY);
        // SAFETY: nothing else gets the descriptor, and below it only requests the tracking of writes.
        let tracker = unsafe { userfaultfd(flags)? };
        let mut api = uffdio_api { api: UFFD_API.into(), features: UFFD_FEATURE_WP_ASYNC.into(), ioctls: 0 };
        // SAFETY: `UFFDIO_API` takes and fills a `uffdio_api`.
        unsafe { ioctl(&tracker, Updater::<API, _>::new(&mut api))? };
        for mapping in mappings {
            let range = uffdio_range { start: mapping.start, len: mapping.end - mapping.start };
            let mut register = uffdio_register { range, mode: UFFDIO_REGISTER_MODE_WP.into(), ioctls: 0 };
            // SAFETY: `UFFDIO_REGISTER` takes and fills a `uffdio_register`. In this mode, of which only writes to pages marked
            // later are a concern, reads and execution of the range go on as they were; no page is ever marked.
            unsafe { ioctl(&tracker, Updater::<REGISTER, _>::new(&mut register))? };
        }
        Ok(Self { _tracker: tracker })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    /// Resident pages of files in the process's memory, in KiB.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let of_file = status.split("fault-around-test").nth(1).expect("the mapping");
        let line = of_file.lines().find(|line| line.starts_with("Rss:")).expect("its size");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[expect(unsafe_code, reason = "a file is mapped as a program is")]
    #[test]
    fn one_fault_brings_one_page() {
        const PAGES: usize = 64;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault-around-test");
        File::create(&path).unwrap().write_all(&vec![7; PAGES * 4096]).unwrap();
        let file = File::open(&path).unwrap();
        let (length, flags) = (PAGES * 4096, rustix::mm::MapFlags::PRIVATE);
        // SAFETY: a new mapping, placed by the kernel, of a file that does not change.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), length, rustix::mm::ProtFlags::READ, flags, &file, 0).unwrap()
        };
        let mapping = Mapping { start: start as u64, end: start as u64 + length as u64 };
        let single = match SinglePages::begin(&[mapping]) {
            Ok(single) => single,
            Err(error) => return println!("skipped: one_fault_brings_one_page: this kernel cannot: {error}"),
        };
        assert_eq!(resident(), 0);
        // SAFETY: within the mapping.
        let read = unsafe { start.cast::<u8>().add(20 * 4096).read_volatile() };
        assert_eq!((read, resident()), (7, 4));
        drop(single);
        // SAFETY: within the mapping, which is not used after its end.
        unsafe {
            assert_eq!(start.cast::<u8>().add(40 * 4096).read_volatile(), 7);
            rustix::mm::munmap(start, length).unwrap();
        }
    }
}
