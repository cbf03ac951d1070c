//! The machines that a task works on: each by one task at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// The tokens of machines that a task works on.
#[derive(Clone, Debug, Default)]
pub(super) struct AtWork(Arc<Mutex<BTreeSet<String>>>);

/// The right to work on one machine, until it is dropped: a task that panics drops it too.
#[derive(Debug)]
pub(super) struct Working {
    at_work: AtWork,
    token: String,
}

// === impl AtWork ===

impl AtWork {
    /// Takes the right to work on a machine. `None` if a task has it.
    pub(super) fn begin(&self, token: &str) -> Option<Working> {
        let is_new = self.0.lock().insert(token.to_owned());
        is_new.then(|| Working { at_work: self.clone(), token: token.to_owned() })
    }

    /// Whether a task works on the machine.
    pub(super) fn contains(&self, token: &str) -> bool {
        self.0.lock().contains(token)
    }
}

impl Working {
    /// The machine's token.
    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.at_work.0.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_frees_its_machine() {
        let at_work = AtWork::default();
        let working = at_work.begin("web-2").expect("no task works on it");
        assert!(at_work.begin("web-2").is_none() && at_work.begin("web-3").is_some());
        let task = tokio::spawn(async move {
            assert_eq!(working.token(), "another machine");
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert!(!at_work.contains("web-2"));
    }
}
