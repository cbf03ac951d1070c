//! Hooks that have ended the daemon.
//!
//! No value of a script ends the process that runs it. What a script does by commands may (`kill`), and so may a fault of the
//! engine. Then the daemon would start, run the hook and end for ever, and no operator could send a better script, for want
//! of a quorum. So before a hook runs, that is noted in the data folder, and it is struck out after it. A note that
//! is found when the daemon starts means that the daemon ended while the hook ran; after the second time that version's hook is not
//! run any more, here.
//!
//! # Invariants
//! - A hook that is not run takes nothing else away: the node votes, and takes another version.
//! - Notes are not flushed to the disk: what the kernel holds outlives the process, and where the machine itself has failed it
//!   was not the hook's doing.
//! - An idle node writes nothing: a hook that has come back often enough since the daemon started is not noted any more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disco_runtime_js::{ScriptError, ScriptErrorKind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Ends of the daemon after which a hook is not run any more. One may be a coincidence.
pub const ENDS: u32 = 2;
/// A hook that runs for longer is not noted as running any more: who comes so far lets operators in between.
pub const NOTED_FOR: Duration = Duration::from_secs(30);
/// Calls in a row that came back, after which a hook is trusted until the daemon starts anew.
const TRUSTED: u32 = 100;
/// Hooks that are remembered; the oldest are forgotten.
const REMEMBERED: usize = 32;
/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 10;
/// [`ScriptError::code`] of a hook that is not run.
pub const DISABLED: &str = "DISABLED";

/// The notes of a node. Clones are the same.
#[derive(Clone, Debug)]
pub struct HookGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    notes: Mutex<Notes>,
}

/// In the file; fields are added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Notes {
    hooks: Vec<Entry>,
    /// The daemon stops in good order: what still runs is not to blame.
    #[serde(skip)]
    closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Hash of the version.
    script: String,
    hook: String,
    /// Calls under way.
    running: u32,
    /// Times that the daemon ended meanwhile.
    ends: u32,
    /// Its event was written.
    #[serde(default)]
    told: bool,
    /// Calls that came back since the daemon started.
    #[serde(skip)]
    returned: u32,
}

/// A hook that runs; struck out when it is dropped.
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

    /// What was running when the daemon ended, has ended it.
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
    /// Reads what the daemon before has left in the data folder.
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
    /// It has ended the daemon twice.
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

    /// Functions of a version that are not run.
    pub fn off(&self, script: &str) -> Vec<String> {
        let notes = self.inner.notes.lock();
        notes
            .hooks
            .iter()
            .filter(|entry| entry.script == script && entry.is_off())
            .map(|entry| entry.hook.clone())
            .collect()
    }

    /// Those of them whose event is still to be written.
    pub fn untold(&self) -> Vec<(String, String)> {
        let notes = self.inner.notes.lock();
        let untold = notes.hooks.iter().filter(|entry| entry.is_off() && !entry.told);
        untold.map(|entry| (entry.script.clone(), entry.hook.clone())).collect()
    }

    /// Its event was written.
    pub fn told(&self, script: &str, hook: &str) {
        let mut notes = self.inner.notes.lock();
        notes.entry(script, hook).told = true;
        self.keep(&notes);
    }

    /// The daemon stops in good order.
    pub fn close(&self) {
        let mut notes = self.inner.notes.lock();
        notes.closed = true;
        for entry in &mut notes.hooks {
            entry.running = 0;
        }
        self.keep(&notes);
    }

    fn leave(&self, script: &str, hook: &str, came_back: bool) {
        let mut notes = self.inner.notes.lock();
        if notes.closed {
            return;
        }
        let entry = notes.entry(script, hook);
        entry.running = entry.running.saturating_sub(1);
        entry.returned += u32::from(came_back);
        // One that runs for so long is not what ends the daemon as soon as it starts.
        if !came_back || entry.returned >= TRUSTED {
            entry.ends = 0;
        }
        self.keep(&notes);
    }

    /// Replaces the file as a whole.
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
    /// It has run for so long that it is not noted any more.
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

/// What is said of a function that is not run on some nodes.
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

    /// What a daemon that was killed leaves: the note itself is never dropped.
    fn killed_in(folder: &Path, script: &str, hook: &str) -> Result<(), ScriptError> {
        HookGuard::open(folder).enter(script, hook).map(std::mem::forget)
    }

    #[test]
    fn a_hook_is_not_run_again_after_the_second_time() {
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
        assert_eq!(guard.untold(), [("sha256:a".to_owned(), "health".to_owned())]);
        guard.told("sha256:a", "health");
        assert!(HookGuard::open(folder.path()).untold().is_empty());
        // Others are, and the same one of another version.
        guard.enter("sha256:a", "leader").unwrap();
        guard.enter("sha256:b", "health").unwrap();
    }

    #[test]
    fn what_came_back_or_was_stopped_in_good_order_is_not_blamed() {
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
    fn a_hook_that_comes_back_often_is_forgiven_and_not_noted_any_more() {
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
    fn what_is_remembered_is_bounded_and_a_damaged_file_ends_nothing() {
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
