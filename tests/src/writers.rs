use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Api, SOON, wait_for};

/// Time limit of one write; the next one follows at once, so that a write is always in progress.
const TRY: Duration = Duration::from_secs(2);

/// Clients that continuously write their own keys, and record the acknowledged writes.
pub struct Writers {
    api: Api,
    prefix: String,
    acknowledged: Arc<Mutex<Vec<(String, i64)>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Starts this number of clients, each with another first node, and waits until they have written something.
    #[must_use]
    #[track_caller]
    pub fn start(api: &Api, addresses: &[String], prefix: &str, count: usize) -> Self {
        let mut writers = Self {
            api: api.clone(),
            prefix: prefix.to_owned(),
            acknowledged: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        writers.threads = (0..count).map(|writer| writers.spawn(writer, addresses)).collect();
        writers.wait_for_more(count * 10);
        writers
    }

    fn spawn(&self, writer: usize, addresses: &[String]) -> JoinHandle<()> {
        let (api, prefix) = (self.api.clone(), self.prefix.clone());
        let (acknowledged, stop) = (Arc::clone(&self.acknowledged), Arc::clone(&self.stop));
        let mut order = addresses.to_vec();
        order.rotate_left(writer % addresses.len());
        std::thread::spawn(move || {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let key = format!("{prefix}{writer}/{number:05}");
                if let Ok(revision) = api.put(&order, &key, &key, TRY) {
                    acknowledged.lock().unwrap().push((key, revision));
                }
            }
        })
    }

    /// Waits until this many more writes were acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, more: usize) {
        let count = || self.acknowledged.lock().unwrap().len();
        let wanted = count() + more;
        wait_for(SOON, "more writes", || {
            let count = count();
            if count >= wanted { Ok(()) } else { Err(format!("{count} of {wanted} acknowledged")) }
        });
    }

    /// Stops further writes.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends them, and checks that all acknowledged writes are on every node, in their order. Returns their number.
    #[track_caller]
    pub fn check(self, addresses: &[String]) -> usize {
        self.stop();
        for thread in self.threads {
            thread.join().unwrap();
        }
        let acknowledged = self.acknowledged.lock().unwrap();
        let newest = acknowledged.iter().map(|(_, revision)| *revision).max().unwrap();
        for address in addresses {
            self.api.wait_for_revision(SOON, address, newest);
            let found = self.api.list(address, &self.prefix, true).unwrap();
            for (key, revision) in acknowledged.iter() {
                let kv = found.iter().find(|kv| kv.key == *key);
                let kv = kv.unwrap_or_else(|| panic!("{key} (acknowledged at {revision}) is not at {address}"));
                // The order is the acknowledged one only if the key was written at this revision and never again.
                assert_eq!((kv.mod_revision, kv.version), (*revision, 1), "{key} at {address}");
            }
        }
        acknowledged.len()
    }
}
