use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::Project;

/// A cluster that the tests of one file use one after the other. It ends with the process.
pub struct Shared {
    make: fn() -> Project,
    project: OnceLock<Project>,
    turn: Mutex<()>,
}

impl Shared {
    /// Made when first used.
    #[must_use]
    pub const fn new(make: fn() -> Project) -> Self {
        Self { make, project: OnceLock::new(), turn: Mutex::new(()) }
    }

    /// This test's turn.
    ///
    /// # Panics
    /// When the cluster cannot be made.
    #[must_use]
    pub fn take(&'static self) -> Turn {
        // A test that failed in its turn leaves a cluster that may still be whole: the next one sees.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { project: self.project.get_or_init(self.make), _turn: turn }
    }
}

/// The cluster, for one test.
pub struct Turn {
    project: &'static Project,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Turn {
    type Target = Project;

    fn deref(&self) -> &Project {
        self.project
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.project.report());
        }
    }
}
