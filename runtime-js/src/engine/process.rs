//! Settings of the engine that apply to the whole process.

/// Switches of the engine, which it reads from the environment.
const SWITCHES: [(&str, &str); 2] = [
    // No cache of compiled scripts in the user's home: its content would be run without any check.
    ("V82JSC_NO_BC_CACHE", "1"),
    // Its WebAssembly part is left out of the build.
    ("QJS_NO_WASM", "1"),
];

/// Must be the first thing in `main`, before any other thread exists. An engine refuses to start without it.
///
/// Disables features that can only be disabled by environment variables: a cache of compiled scripts in the user's
/// home, which would be trusted blindly, and WebAssembly.
pub fn prepare_process() {
    for (name, value) in SWITCHES {
        #[expect(unsafe_code, reason = "the engine reads its switches from the environment alone")]
        // SAFETY: documented to be called while the process has one thread, so no one reads the environment meanwhile.
        unsafe {
            std::env::set_var(name, value);
        }
    }
}

/// Whether [`prepare_process`] was called, in this process or by a parent.
pub(super) fn is_prepared() -> bool {
    SWITCHES.iter().all(|(name, _)| std::env::var_os(name).is_some())
}
