use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The library's path in Debian's package `faketime`, on the supported architectures.
const PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// A node's wall clock, which can be set while the node runs.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
}

/// The library that makes it possible, if installed.
#[must_use]
pub(super) fn library() -> Option<&'static str> {
    PLACES.into_iter().find(|place| Path::new(place).exists())
}

impl Clock {
    /// Whether nodes can have one: whether the library is installed.
    #[must_use]
    pub fn is_possible() -> bool {
        library().is_some()
    }

    /// A correct clock, and the environment with which a node uses it.
    ///
    /// # Panics
    /// Its file cannot be written.
    #[must_use]
    pub fn new(file: PathBuf) -> (Self, Vec<(String, OsString)>) {
        let clock = Self { file };
        clock.set(0);
        let Some(library) = library() else { return (clock, Vec::new()) };
        let environment = [
            ("LD_PRELOAD", OsString::from(library)),
            ("FAKETIME_TIMESTAMP_FILE", clock.file.clone().into()),
            // The library reads the file once a second, and does not change the monotonic clock.
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
        ];
        (clock, environment.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    /// Sets its offset from the correct time, in seconds.
    ///
    /// # Panics
    /// Its file cannot be written.
    pub fn set(&self, seconds: i64) {
        let making = self.file.with_extension("new");
        fs::write(&making, format!("{seconds:+}\n")).unwrap();
        fs::rename(&making, &self.file).unwrap();
    }
}
