//! The allocator for Rust code: jemalloc, configured to return freed memory soon. The libc of a static build (musl's,
//! or zig's in its place) retains what it once had: after an hour of light load it held 2 MB more.
//!
//! C code, which is the script engine, stays with libc's `malloc`: it allocates pages of 4 KiB and holds on to them.

use std::ffi::c_char;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Settings that jemalloc reads when the process starts (`jemalloc(3)`, section TUNING).
#[repr(transparent)]
struct Settings(*const c_char);

// SAFETY: it points to a constant.
#[expect(unsafe_code, reason = "a pointer for C that is shared by all threads")]
unsafe impl Sync for Settings {}

/// - `narenas:1`: a handful of threads share one arena; each additional one would hold its own pages.
/// - `dirty_decay_ms:1000`, `muzzy_decay_ms:0`: a page that is free for a second goes back to the kernel. (Immediately
///   would cost a tenth of the puts per second.)
/// - The rest: each thread caches a few free blocks of up to 4 KiB. (None would cost a quarter of the puts; jemalloc's
///   default would take 0.2 MB more.)
#[expect(unsafe_code, reason = "the name that jemalloc looks for")]
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static SETTINGS: Settings = Settings(
    c"narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0,lg_tcache_max:12,tcache_nslots_small_min:2,tcache_nslots_small_max:20"
        .as_ptr(),
);

#[cfg(test)]
mod tests {
    use tikv_jemalloc_ctl::{opt, raw};

    #[test]
    fn the_settings_are_taken() {
        assert_eq!(opt::narenas::read().unwrap(), 1);
        // SAFETY: it is a `size_t`.
        #[expect(unsafe_code, reason = "a value of a given type is read")]
        let cached: usize = unsafe { raw::read(b"opt.tcache_max\0").unwrap() };
        assert_eq!(cached, 4096);
        for (name, expected) in [(&b"opt.dirty_decay_ms\0"[..], 1000), (b"opt.muzzy_decay_ms\0", 0)] {
            // SAFETY: both are `ssize_t`.
            #[expect(unsafe_code, reason = "values of a given type are read")]
            let found: isize = unsafe { raw::read(name).unwrap() };
            assert_eq!(found, expected);
        }
        for (name, expected) in [(&b"opt.tcache_nslots_small_min\0"[..], 2), (b"opt.tcache_nslots_small_max\0", 20)] {
            // SAFETY: both are `unsigned`.
            #[expect(unsafe_code, reason = "values of a given type are read")]
            let found: u32 = unsafe { raw::read(name).unwrap() };
            assert_eq!(found, expected);
        }
    }
}
