//! Randomness of the process, made a function of the seed.
//!
//! All code in this program gets the operating system's randomness from `getrandom(2)`: the hash maps of the standard
//! library, and through them tokio, which uses them for the order in which waiters of a channel wake. Runs would differ
//! although every other choice is the same. So this program has its own `getrandom`, which the linker uses
//! instead of the C library's; the simulator madsim does the same.

use std::sync::atomic::{AtomicU64, Ordering};

/// State of a SplitMix64 generator (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
static STATE: AtomicU64 = AtomicU64::new(0);

/// Makes the process's randomness a function of this seed. Must be called before any use of randomness.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// Whether the replacement is in use: the standard library's random keys must follow from the seed.
pub fn is_replaced() -> bool {
    let before = STATE.load(Ordering::Relaxed);
    // Keys are drawn once per thread, so a new thread is needed to observe it.
    let drawn = std::thread::spawn(std::collections::hash_map::RandomState::new).join().is_ok();
    drawn && STATE.load(Ordering::Relaxed) != before
}

fn next() -> u64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = STATE.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Replaces the C library's function of that name: see `man 2 getrandom`.
///
/// # Safety
/// `buffer` must be valid for writing `length` bytes.
#[expect(unsafe_code, reason = "the only way to make the standard library's hash maps a function of the seed")]
// SAFETY: the symbol has the name, the arguments and the meaning of the C library's, except that what it gives is not secret;
// this program keeps no secrets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    let mut filled = 0;
    while filled < length {
        for byte in next().to_le_bytes().into_iter().take(length - filled) {
            // SAFETY: `filled < length`, and the caller promises `length` writable bytes.
            unsafe { buffer.add(filled).write(byte) };
            filled += 1;
        }
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
