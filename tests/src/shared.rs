use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::permit::{Covered, Detached, Share, ran_for};
use crate::{Permit, Project, RawCluster, SOON, Status};

/// A cluster's report for a failed test.
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

/// A cluster that the tests of one file use one after the other. It ends when no test waits for it.
pub struct Shared<T: 'static> {
    make: fn() -> T,
    share: Share,
    cluster: Mutex<Option<Arc<Held<T>>>>,
    waiting: AtomicUsize,
    turn: Mutex<()>,
}

/// A cluster with its permit, which is released after its end.
struct Held<T> {
    cluster: T,
    _permit: Detached,
}

impl<T: Report> Shared<T> {
    /// Made at the first use.
    #[must_use]
    pub const fn new(make: fn() -> T) -> Self {
        Self::of(make, Share::One)
    }

    /// The same for tests that assert durations: no other test runs as long as the cluster does.
    #[must_use]
    pub const fn alone(make: fn() -> T) -> Self {
        Self::of(make, Share::Whole)
    }

    const fn of(make: fn() -> T, share: Share) -> Self {
        Self { make, share, cluster: Mutex::new(None), waiting: AtomicUsize::new(0), turn: Mutex::new(()) }
    }

    /// This test's turn.
    ///
    /// # Panics
    /// When the cluster cannot be made, or this thread holds a permit: the test whose turn it is may be waiting for that one.
    #[must_use]
    pub fn take(&'static self) -> Turn<T> {
        assert!(!Permit::is_held(), "a test that holds a permit waits for no other test");
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // A failed test leaves a cluster that may still be whole: the next test checks.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut began = Instant::now();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let mut there = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let held = there.take().unwrap_or_else(|| {
            let permit = Permit::of(self.share).detach();
            began = Instant::now();
            let _covered = Permit::covered();
            Arc::new(Held { cluster: (self.make)(), _permit: permit })
        });
        *there = Some(Arc::clone(&held));
        Turn { shared: self, held, began, _covered: Permit::covered(), _turn: turn }
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
        project.wait_until_healthy(SOON, 3);
        // A daemon that the test before has ended is shown for a moment after its end.
        let runs = |pid: u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
        let status = project.wait_for_status(SOON, "three healthy nodes whose daemons run", |status| {
            status.healthy && status.leader.is_some() && status.nodes.iter().all(|node| runs(node.pid))
        });
        (project, status)
    }
}

/// The cluster, for one test.
pub struct Turn<T: Report + 'static> {
    shared: &'static Shared<T>,
    held: Arc<Held<T>>,
    began: Instant,
    _covered: Covered,
    _turn: MutexGuard<'static, ()>,
}

impl<T: Report> Deref for Turn<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held.cluster
    }
}

impl<T: Report> Drop for Turn<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.held.cluster.report());
        }
        if self.shared.waiting.load(Ordering::SeqCst) == 0 {
            // This turn holds the last reference.
            *self.shared.cluster.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        ran_for(self.began);
    }
}
