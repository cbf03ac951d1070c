use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::{Project, RawCluster, SOON, Status};

/// What a failed test shows of the cluster that it used.
pub trait Report {
    /// Logs, status, processes.
    fn report(&self) -> String;
}

impl Report for Project {
    fn report(&self) -> String {
        self.logs_and_status()
    }
}

impl Report for RawCluster {
    fn report(&self) -> String {
        self.logs()
    }
}

/// A cluster that the tests of one file use one after the other. It ends with the process.
pub struct Shared<T: 'static> {
    make: fn() -> T,
    cluster: OnceLock<T>,
    turn: Mutex<()>,
}

impl<T: Report> Shared<T> {
    /// Made when first used.
    #[must_use]
    pub const fn new(make: fn() -> T) -> Self {
        Self { make, cluster: OnceLock::new(), turn: Mutex::new(()) }
    }

    /// This test's turn.
    ///
    /// # Panics
    /// When the cluster cannot be made.
    #[must_use]
    pub fn take(&'static self) -> Turn<T> {
        // A test that failed in its turn leaves a cluster that may still be whole: the next one sees.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { cluster: self.cluster.get_or_init(self.make), _turn: turn }
    }
}

impl Shared<Project> {
    /// This test's turn, once the three nodes are healthy.
    ///
    /// # Panics
    /// When the cluster cannot be made, or does not become healthy.
    #[must_use]
    pub fn whole(&'static self) -> (Turn<Project>, Status) {
        let project = self.take();
        let status = project.wait_until_healthy(SOON, 3);
        (project, status)
    }
}

/// The cluster, for one test.
pub struct Turn<T: Report + 'static> {
    cluster: &'static T,
    _turn: MutexGuard<'static, ()>,
}

impl<T: Report> Deref for Turn<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.cluster
    }
}

impl<T: Report> Drop for Turn<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.cluster.report());
        }
    }
}
