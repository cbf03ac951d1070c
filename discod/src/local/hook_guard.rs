//! Hooks that ended the daemon.
//!
//! No value of a script ends the process that runs it. But a command of the script may (`kill`), and so may a fault of
//! the engine. The daemon would then start, run the hook and end forever, and no operator could push a corrected
//! script, for lack of a quorum. So the daemon writes a note to the data folder before a hook runs, and removes it
//! afterwards. A note found at the daemon's start means that the daemon ended while the hook ran; after the second time
//! that version's hook is disabled on this node.
//!
//! # Invariants
//! - A disabled hook has no other effect: the node votes, and accepts another version.
//! - Notes are not flushed to the disk: data in the kernel outlives the process, and a failure of the whole machine was
//!   not caused by the hook.
//! - An idle node writes nothing: a hook that has returned often enough since the daemon's start is no longer noted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disco_runtime_js::{ScriptError, ScriptErrorKind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Ends of the daemon after which a hook is disabled. One may be a coincidence.
pub const ENDS: u32 = 2;
/// A hook that runs for longer is no longer noted as running: a daemon that gets this far lets operators in between.
pub const NOTED_FOR: Duration = Duration::from_secs(30);
/// Consecutive returned calls after which a hook is trusted until the daemon restarts.
const TRUSTED: u32 = 100;
/// Number of hooks that are remembered; the oldest are dropped.
const REMEMBERED: usize = 32;
/// Longest accepted file.
const MAX_BYTES: u64 = 64 << 10;
/// [`ScriptError::code`] of a disabled hook.
pub const DISABLED: &str = "DISABLED";

/// The notes of a node. Clones share them.
#[derive(Clone, Debug)]
pub struct HookGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    notes: Mutex<Notes>,
}

/// The file's content; fields are added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Notes {
    hooks: Vec<Entry>,
    /// The daemon shuts down cleanly: hooks that still run are not to blame.
    #[serde(skip)]
    closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Hash of the version.
    script: String,
    hook: String,
    /// Calls in progress.
    running: u32,
    /// Number of ends of the daemon during a call.
    ends: u32,
    /// Its event was recorded.
    #[serde(default)]
    told: bool,
    /// Calls that returned since the daemon started.
    #[serde(skip)]
    returned: u32,
}

/// A running hook; its note is removed on drop.
#[derive(Debug)]
pub struct Note {
    guard: Option<HookGuard>,
    script: String,
    hook: String,
}

// === impl Notes ===

impl Notes {
    fn entry(&mut self, script: &str, hook: &str) -> &mut Entry {
        let at = self.hooks.iter().position(|entry| entry.script == script && entry.hook == hook);
        let at = at.unwrap_or_else(|| {
            if self.hooks.len() >= REMEMBERED
                && let Some(oldest) = self.hooks.iter().position(|entry| entry.running == 0)
            {
                self.hooks.remove(oldest);
            }
            let (script, hook) = (script.to_owned(), hook.to_owned());
            self.hooks.push(Entry { script, hook, running: 0, ends: 0, told: false, returned: 0 });
            self.hooks.len() - 1
        });
        &mut self.hooks[at]
    }

    /// Blames hooks that were running when the daemon ended.
    fn judge(&mut self) -> bool {
        let mut changed = false;
        for entry in &mut self.hooks {
            if std::mem::take(&mut entry.running) > 0 {
                entry.ends += 1;
                changed = true;
            }
        }
        changed
    }
}

impl Entry {
    fn is_off(&self) -> bool {
        self.ends >= ENDS
    }
}

// === impl HookGuard ===

impl HookGuard {
    /// Reads the notes that the previous daemon left in the data folder.
    pub fn open(data_dir: &Path) -> Self {
        let path = data_dir.join("hooks.json");
        let mut notes: Notes = match disco_identity::read_limited(&path, MAX_BYTES) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "the file is damaged; the record of hooks that ended the daemon is lost");
                Notes::default()
            }),
            Err(error) if error.is_not_found() => Notes::default(),
            Err(error) => {
                tracing::warn!(%error, "cannot read which hooks ended the daemon");
                Notes::default()
            }
        };
        let changed = notes.judge();
        for entry in notes.hooks.iter().filter(|entry| entry.ends > 0) {
            tracing::warn!(
                hook = entry.hook,
                script = entry.script,
                ends = entry.ends,
                "the daemon ended while the hook ran"
            );
        }
        let guard = Self { inner: Arc::new(Inner { path, notes: Mutex::new(notes) }) };
        if changed {
            guard.keep(&guard.inner.notes.lock());
        }
        guard
    }

    /// Notes that a function of a version is about to run.
    ///
    /// # Errors
    /// The function has ended the daemon twice.
    pub fn enter(&self, script: &str, hook: &str) -> Result<Note, ScriptError> {
        let mut notes = self.inner.notes.lock();
        let closed = notes.closed;
        let entry = notes.entry(script, hook);
        if entry.is_off() {
            return Err(refusal(hook));
        }
        let (script, hook) = (script.to_owned(), hook.to_owned());
        if closed || entry.returned >= TRUSTED {
            return Ok(Note { guard: None, script, hook });
        }
        entry.running += 1;
        self.keep(&notes);
        Ok(Note { guard: Some(self.clone()), script, hook })
    }

    /// Disabled functions of a version.
    pub fn off(&self, script: &str) -> Vec<String> {
        let notes = self.inner.notes.lock();
        notes
            .hooks
            .iter()
            .filter(|entry| entry.script == script && entry.is_off())
            .map(|entry| entry.hook.clone())
            .collect()
    }

    /// Disabled functions whose event is not recorded yet.
    pub fn unreported(&self) -> Vec<(String, String)> {
        let notes = self.inner.notes.lock();
        let unreported = notes.hooks.iter().filter(|entry| entry.is_off() && !entry.told);
        unreported.map(|entry| (entry.script.clone(), entry.hook.clone())).collect()
    }

    /// Marks a function's event as recorded.
    pub fn set_reported(&self, script: &str, hook: &str) {
        let mut notes = self.inner.notes.lock();
        notes.entry(script, hook).told = true;
        self.keep(&notes);
    }

    /// The daemon shuts down cleanly.
    pub fn close(&self) {
        let mut notes = self.inner.notes.lock();
        notes.closed = true;
        for entry in &mut notes.hooks {
            entry.running = 0;
        }
        self.keep(&notes);
    }

    fn leave(&self, script: &str, hook: &str, returned: bool) {
        let mut notes = self.inner.notes.lock();
        if notes.closed {
            return;
        }
        let entry = notes.entry(script, hook);
        entry.running = entry.running.saturating_sub(1);
        entry.returned += u32::from(returned);
        // A hook that runs this long does not end the daemon right after its start.
        if !returned || entry.returned >= TRUSTED {
            entry.ends = 0;
        }
        self.keep(&notes);
    }

    /// Replaces the file atomically.
    fn keep(&self, notes: &Notes) {
        let new = self.inner.path.with_extension("json.new");
        let written = serde_json::to_vec(notes)
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &self.inner.path));
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.inner.path.display(), "could not record which hooks run");
        }
    }
}

// === impl Note ===

impl Note {
    /// Removes the note of a hook that has run for long.
    pub fn strike_out(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.leave(&self.script, &self.hook, false);
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.leave(&self.script, &self.hook, true);
        }
    }
}

/// Describes a function that is disabled on some nodes.
#[must_use]
pub fn describe(hook: &str, nodes: &str) -> String {
    format!("`{hook}` is disabled on node {nodes}: it has ended the daemon {ENDS} times")
}

fn refusal(hook: &str) -> ScriptError {
    let text = format!(
        "`{hook}` is disabled on this node: it has ended the daemon {ENDS} times\nhint: correct `cluster.js` and run `disco script push`"
    );
    let mut error = ScriptError::new(ScriptErrorKind::Load, text);
    error.code = Some(DISABLED.to_owned());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state after a daemon was killed: the note itself is never dropped.
    fn killed_in(folder: &Path, script: &str, hook: &str) -> Result<(), ScriptError> {
        HookGuard::open(folder).enter(script, hook).map(std::mem::forget)
    }

    #[test]
    fn a_hook_is_disabled_after_the_second_end() {
        let folder = tempfile::tempdir().unwrap();
        killed_in(folder.path(), "sha256:a", "health").unwrap();
        killed_in(folder.path(), "sha256:a", "health").unwrap();
        let guard = HookGuard::open(folder.path());
        let error = guard.enter("sha256:a", "health").unwrap_err();
        assert_eq!(error.code.as_deref(), Some(DISABLED));
        assert!(
            error.message.contains("`health` is disabled on this node: it has ended the daemon 2 times"),
            "{error}"
        );
        assert_eq!(guard.off("sha256:a"), ["health"]);
        assert_eq!(guard.unreported(), [("sha256:a".to_owned(), "health".to_owned())]);
        guard.set_reported("sha256:a", "health");
        assert!(HookGuard::open(folder.path()).unreported().is_empty());
        // Other hooks run, and so does the same hook of another version.
        guard.enter("sha256:a", "leader").unwrap();
        guard.enter("sha256:b", "health").unwrap();
    }

    #[test]
    fn returned_hooks_and_clean_shutdowns_are_not_blamed() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let guard = HookGuard::open(folder.path());
            drop(guard.enter("sha256:a", "health").unwrap());
            let mut long = guard.enter("sha256:a", "leader").unwrap();
            long.strike_out();
            std::mem::forget(long);
            let running = guard.enter("sha256:a", "event").unwrap();
            guard.close();
            std::mem::forget(running);
        }
        let guard = HookGuard::open(folder.path());
        assert!(guard.off("sha256:a").is_empty());
        for hook in ["health", "leader", "event"] {
            guard.enter("sha256:a", hook).unwrap();
        }
    }

    #[test]
    fn a_hook_that_returns_often_is_forgiven_and_no_longer_noted() {
        let folder = tempfile::tempdir().unwrap();
        killed_in(folder.path(), "sha256:a", "health").unwrap();
        let guard = HookGuard::open(folder.path());
        for _ in 0..TRUSTED {
            drop(guard.enter("sha256:a", "health").unwrap());
        }
        let before = std::fs::metadata(folder.path().join("hooks.json")).unwrap().modified().unwrap();
        std::mem::forget(guard.enter("sha256:a", "health").unwrap());
        assert_eq!(std::fs::metadata(folder.path().join("hooks.json")).unwrap().modified().unwrap(), before);
        killed_in(folder.path(), "sha256:a", "health").unwrap();
        HookGuard::open(folder.path()).enter("sha256:a", "health").unwrap();
    }

    #[test]
    fn a_hook_that_runs_for_long_is_forgiven() {
        let folder = tempfile::tempdir().unwrap();
        killed_in(folder.path(), "sha256:a", "leader").unwrap();
        let mut long = HookGuard::open(folder.path()).enter("sha256:a", "leader").unwrap();
        long.strike_out();
        killed_in(folder.path(), "sha256:a", "leader").unwrap();
        HookGuard::open(folder.path()).enter("sha256:a", "leader").unwrap();
    }

    #[test]
    fn notes_are_bounded_and_a_damaged_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let guard = HookGuard::open(folder.path());
        for number in 0..100 {
            drop(guard.enter(&format!("sha256:{number}"), "check").unwrap());
        }
        assert!(guard.inner.notes.lock().hooks.len() <= REMEMBERED);
        std::fs::write(folder.path().join("hooks.json"), "{").unwrap();
        HookGuard::open(folder.path()).enter("sha256:1", "check").unwrap();
    }
}
