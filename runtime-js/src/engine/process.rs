//! Settings of the engine that can only be made for the whole process.

/// Must be the first thing in `main`, before any other thread exists.
///
/// Switches off the engine's cache of compiled scripts in the user's home: what is found there would be run without
/// any check.
pub fn prepare_process() {
    #[expect(unsafe_code, reason = "the engine reads this switch from the environment alone")]
    // SAFETY: documented to be called while the process has one thread, so no one reads the environment meanwhile.
    unsafe {
        std::env::set_var("V82JSC_NO_BC_CACHE", "1");
    }
}
