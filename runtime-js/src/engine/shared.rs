//! State shared by the operations of scripts and the script thread. Lives on the script thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::calls::Calls;
use super::heap::HeapHit;
use super::isolate::HostFunctions;
use super::loader::Versions;
use crate::cluster::{ClusterHandle, ClusterSpec};
use crate::console::ConsoleLevel;
use crate::kv::KvWatch;
use crate::{EngineOptions, ErrorCode, HostError};

/// The most clusters, watches or abortable operations that a script may hold: more means that it leaks them.
const MAX_HELD: usize = 1000;

/// A watch that a script holds.
#[derive(Clone)]
pub(crate) struct SharedWatch {
    pub(crate) watch: Arc<tokio::sync::Mutex<Box<dyn KvWatch>>>,
    /// The script has ended it: its next change is no longer needed.
    pub(crate) closed: CancellationToken,
}

/// State of the engine other than the isolate. No borrow of a cell is held over a call into JavaScript.
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    /// The runtime of the hosts' futures, so that a computing script does not delay them.
    host_runtime: tokio::runtime::Handle,
    pub(super) calls: RefCell<Calls>,
    pub(super) versions: Rc<Versions>,
    pub(super) functions: RefCell<Option<Rc<HostFunctions>>>,
    pub(super) heap: Rc<HeapHit>,
    clusters: RefCell<Vec<(ClusterSpec, Arc<dyn ClusterHandle>)>>,
    pub(crate) watches: RefCell<Table<SharedWatch>>,
    pub(crate) aborts: RefCell<Table<CancellationToken>>,
}

impl Shared {
    /// Effects of calls end with `root`.
    pub(super) fn new(options: EngineOptions, host_runtime: tokio::runtime::Handle, root: CancellationToken) -> Self {
        Self {
            options,
            host_runtime,
            calls: RefCell::new(Calls::new(root)),
            versions: Rc::default(),
            functions: RefCell::default(),
            heap: Rc::default(),
            clusters: RefCell::default(),
            watches: RefCell::default(),
            aborts: RefCell::default(),
        }
    }

    /// Drops everything that scripts held: their isolate is gone.
    pub(super) fn clear(&self) {
        self.functions.take();
        self.heap.clear();
        self.versions.clear();
        self.clusters.take();
        self.watches.take();
        for (_, token) in self.aborts.take().entries.into_values() {
            token.cancel();
        }
    }

    /// Ends everything of a call: its pending effects end, and what it holds is dropped.
    pub(super) fn end_call(&self, call: u32) {
        self.calls.borrow_mut().end(call);
        self.watches.borrow_mut().remove_of(call);
    }

    /// Stores a cluster; returns its number for the script.
    pub(crate) fn add_cluster(&self, spec: ClusterSpec, handle: Arc<dyn ClusterHandle>) -> Result<u32, HostError> {
        let mut clusters = self.clusters.borrow_mut();
        if clusters.len() >= MAX_HELD {
            return Err(HostError::new("too many clusters were made"));
        }
        clusters.push((spec, handle));
        Ok(clusters.len() as u32 - 1)
    }

    /// A cluster by its number.
    pub(crate) fn cluster(&self, number: u32) -> Result<Arc<dyn ClusterHandle>, HostError> {
        let clusters = self.clusters.borrow();
        let found = clusters.get(number as usize).ok_or_else(|| HostError::invalid("unknown cluster"))?;
        Ok(found.1.clone())
    }

    /// The specification of a cluster.
    pub(super) fn cluster_spec(&self, number: u32) -> Option<ClusterSpec> {
        Some(self.clusters.borrow().get(number as usize)?.0.clone())
    }

    /// Writes to the console of a call, or of none (0).
    pub(crate) fn write(&self, call: u32, level: ConsoleLevel, text: &str) {
        let console = self.calls.borrow().console(call);
        console.unwrap_or_else(|| self.options.hosts.console.clone()).write(level, text);
    }

    /// Runs a host's future on the host's runtime, until its call has ended. Then it ends at once, independent of the script
    /// thread.
    pub(crate) async fn host<T: Send + 'static>(
        &self,
        call: u32,
        future: impl Future<Output = Result<T, HostError>> + Send + 'static,
    ) -> Result<T, HostError> {
        let ended = self.calls.borrow().ended(call);
        let task = AbortOnDropHandle::new(self.host_runtime.spawn(async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => Err(over()),
                result = future => result,
            }
        }));
        self.until_ended(call, async {
            match task.await {
                Ok(result) => result,
                Err(error) if error.is_panic() => {
                    Err(HostError::new("the host failed: this is a bug in Disco").with_code(ErrorCode::Bug))
                }
                Err(_) => Err(HostError::new("the host is shutting down").with_code(ErrorCode::Cancelled)),
            }
        })
        .await
    }

    /// Runs a future on this thread, until its call has ended.
    pub(crate) async fn until_ended<T>(
        &self,
        call: u32,
        future: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let ended = self.calls.borrow().ended(call);
        tokio::select! {
            biased;
            () = ended.cancelled() => Err(over()),
            result = future => result,
        }
    }

    /// As [`until_ended`](Self::until_ended), and until the script aborts the operation (`key` 0: it cannot).
    pub(crate) async fn until_aborted<T>(
        &self,
        call: u32,
        key: u32,
        future: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let token = self.aborts.borrow().get(key).cloned().unwrap_or_default();
        self.until_ended(call, async {
            tokio::select! {
                biased;
                () = token.cancelled() => Err(HostError::new("aborted").with_code(ErrorCode::Aborted)),
                result = future => result,
            }
        })
        .await
    }
}

fn over() -> HostError {
    HostError::new("the call has ended").with_code(ErrorCode::Cancelled)
}

/// Objects that scripts hold by number, from 1, each for a call (0: for none).
pub(crate) struct Table<T> {
    last: u32,
    entries: HashMap<u32, (u32, T)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { last: 0, entries: HashMap::new() }
    }
}

impl<T> Table<T> {
    /// Adds an object for a call and returns its number.
    pub(crate) fn add(&mut self, call: u32, value: T) -> Result<u32, HostError> {
        if self.entries.len() >= MAX_HELD {
            return Err(HostError::new("too many operations are under way at once"));
        }
        self.last += 1;
        self.entries.insert(self.last, (call, value));
        Ok(self.last)
    }

    /// The object with a number.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.entries.get(&number).map(|(_, value)| value)
    }

    /// Removes it.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        self.entries.remove(&number).map(|(_, value)| value)
    }

    /// Drops everything that a call holds.
    fn remove_of(&mut self, call: u32) {
        self.entries.retain(|_, (owner, _)| *owner != call);
    }
}
