//! Tasks as real processes, by real shims, in temporary folders.

mod adoption;
mod checks;
mod life;
mod output;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use disco_shim::Folder;
use disco_shim::output::Reader;
use disco_store::typed::{
    FileRecord, Goal, GroupRecord, ProcessSpec, ResourceSpec, RestartCondition, RestartSpec, ServiceSpec, TaskPort,
    TaskRecord, TaskRun, TaskState, TaskStateRecord, UpdateSpec,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::actor::{self, Context};
use super::driver::Order;
use super::process::{Contents, Fetch, Fetching, Process, Program, end_all};
use super::states::States;
use crate::cluster::scripts::blobs;
use crate::cluster::secrets::Value;
use crate::cluster::tasks::folders;
use crate::local::artifacts::{Artifacts, Content, NotFetched};

/// Longer than anything here takes on a machine that is ten times slower.
const DEADLINE: Duration = Duration::from_secs(60);
const TASK: u64 = 7;

/// A node with one task.
struct Test {
    folder: tempfile::TempDir,
    contents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    order: Order,
    goal: watch::Sender<Option<Goal>>,
    confirmed: watch::Sender<bool>,
    lease_ms: watch::Sender<u64>,
    states: States,
    /// What the cluster has of the task's state, where it is newer.
    recorded: Arc<Mutex<Option<TaskStateRecord>>>,
    /// The version that the task shall have.
    group: Arc<Mutex<u64>>,
    /// Versions of its service.
    versions: Arc<Mutex<BTreeMap<u64, GroupRecord>>>,
    /// Secrets and configs, by version; a version without an entry cannot be had.
    values: Arc<Mutex<BTreeMap<u64, Vec<Value>>>>,
    actor: Option<JoinHandle<()>>,
}

/// Contents that the test has.
struct Given {
    contents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    artifacts: Artifacts,
}

#[async_trait::async_trait]
impl Contents for Given {
    async fn obtain(&self, content: &Content, _: &(dyn Fn(u64) + Send + Sync)) -> Result<(), NotFetched> {
        let bytes = self.contents.lock().get(&content.sha256).cloned();
        let bytes = bytes.ok_or_else(|| NotFetched::Nowhere("it is missing".to_owned()))?;
        self.artifacts.write(content, &bytes).map_err(|error| NotFetched::Failed(error.to_string()))
    }
}

/// No test leaves a process behind.
impl Drop for Test {
    fn drop(&mut self) {
        if let Some(actor) = self.actor.take() {
            actor.abort();
        }
        end_all(self.folder.path()).unwrap();
    }
}

impl Test {
    /// The task is this shell script.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut test = Self {
            order: Order { task: task(), group: Arc::new(group()), node: "shop-1".to_owned(), address: address() },
            folder,
            contents: Arc::default(),
            goal: watch::Sender::new(Some(Goal::Run)),
            confirmed: watch::Sender::new(true),
            lease_ms: watch::Sender::new(0),
            states: States::default(),
            recorded: Arc::default(),
            group: Arc::new(Mutex::new(group().id)),
            versions: Arc::default(),
            values: Arc::default(),
            actor: None,
        };
        test.file("web", &format!("#!/bin/sh\n{script}\n"), 0o755);
        test
    }

    /// Adds a file to the task's.
    fn file(&mut self, path: &str, content: &str, mode: u32) {
        let sha256 = blobs::name(content.as_bytes());
        self.contents.lock().insert(sha256.clone(), content.as_bytes().to_vec());
        let file = FileRecord { path: path.to_owned(), sha256, size: content.len() as u64, mode };
        self.spec(|spec| {
            let files = &mut spec.process.as_mut().unwrap().files;
            files.retain(|other| other.path != path);
            files.push(file);
        });
    }

    fn spec(&mut self, change: impl FnOnce(&mut ServiceSpec)) {
        change(&mut Arc::make_mut(&mut self.order.group).spec);
    }

    fn restart(&mut self, condition: RestartCondition, delay_ms: u64, attempts: u32) {
        self.spec(|spec| spec.restart = RestartSpec { condition, delay_ms, attempts });
    }

    fn driver(&self) -> Process {
        let artifacts = Artifacts::new(self.folder.path());
        let contents = Arc::new(Given { contents: self.contents.clone(), artifacts: artifacts.clone() });
        // Tests run at once, and each is a node of its own.
        let node = self.folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let values = self.values.clone();
        let fetch: Fetch = Arc::new(move |_, group| -> Fetching {
            let values = values.lock().get(&group).cloned();
            Box::pin(async move { values.ok_or_else(|| "no voter answers".to_owned()) })
        });
        Process::new(self.folder.path(), format!("test-{node}"), Program::at(test_shim()), artifacts, contents, fetch)
    }

    /// Starts the daemon's part: a new driver and a new actor.
    fn begin(&mut self) {
        let (goal, task) = (self.goal.subscribe(), self.order.task.clone());
        let (recorded, versions, group) = (self.recorded.clone(), self.versions.clone(), self.group.clone());
        let look = move |_| (*goal.borrow()).map(|goal| TaskRecord { goal, group: *group.lock(), ..task.clone() });
        let context = Context {
            driver: Arc::new(self.driver()),
            states: self.states.clone(),
            confirmed: self.confirmed.subscribe(),
            lease_ms: self.lease_ms.subscribe(),
            look: Arc::new(look),
            recorded: Arc::new(move |_| recorded.lock().clone()),
            version: Arc::new(move |id| versions.lock().get(&id).cloned()),
            address: "10.0.0.1".to_owned(),
            probes: crate::local::ProbeCounts::default(),
        };
        self.actor = Some(tokio::spawn(actor::run(context, self.order.clone(), self.goal.subscribe())));
    }

    /// Ends the daemon's part as a crash would: only what was recorded is left.
    async fn crash(&mut self) {
        let actor = self.actor.take().unwrap();
        actor.abort();
        assert!(actor.await.is_err());
        let recorded = self.states.get(TASK);
        self.states = States::default();
        self.states.seed(recorded);
    }

    /// What was recorded last is older than what runs: only an actor that has found that says that it runs.
    fn outdate(&mut self) {
        let state = self.states.get(TASK).unwrap();
        self.states = States::default();
        self.states.seed(Some(TaskStateRecord { state: TaskState::Starting, pid: 0, ..state }));
    }

    /// Waits for a state.
    async fn until(&self, condition: impl Fn(&TaskStateRecord) -> bool) -> TaskStateRecord {
        let mut changes = self.states.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if let Some(state) = self.states.get(TASK).filter(|state| condition(state)) {
                    return state;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(state) => state,
            Err(_) => panic!("waited {DEADLINE:?}; last: {:?}", self.states.get(TASK)),
        }
    }

    async fn running(&self) -> TaskStateRecord {
        self.until(|state| state.state == TaskState::Running).await
    }

    async fn gone(&self) -> TaskStateRecord {
        self.until(|state| state.gone).await
    }

    fn attempt(&self, number: u64) -> Folder {
        Folder::new(folders::attempt(self.folder.path(), TASK, number))
    }

    fn files(&self) -> PathBuf {
        folders::task(self.folder.path(), TASK).join(folders::FILES)
    }

    /// What a start has printed.
    fn text(&self, number: u64) -> String {
        let mut text = Vec::new();
        let mut reader = Reader::new(self.attempt(number).output(), 0);
        while let Ok(Some(chunk)) = reader.read() {
            text.extend(chunk.content);
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits until a start has printed this.
    async fn printed(&self, number: u64, what: &str) {
        eventually(&format!("`{what}` in the output"), || self.text(number).contains(what)).await;
    }
}

/// Waits for something that wakes nobody.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        ticks.tick().await;
    }
}

fn runs(pid: u32) -> bool {
    let found = disco_shim::Process::find(pid.cast_signed()).unwrap();
    found.is_some_and(|process| process.runs().unwrap())
}

/// Beside this program: `cargo test --workspace` makes it.
fn test_shim() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().map(|folder| folder.join("disco-test-shim")).find(|file| file.is_file());
    found.expect("`disco-test-shim` is missing; hint: `cargo build -p disco-shim`")
}

fn address() -> std::net::IpAddr {
    "127.0.0.1".parse().unwrap()
}

/// A port that nothing uses.
fn free_port() -> TaskPort {
    // Below those that the kernel gives to connections and to who asks for any.
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let mut numbers = std::iter::repeat_with(|| {
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        20_000 + u16::try_from(std::process::id().wrapping_mul(31).wrapping_add(next) % 12_000).unwrap()
    });
    let number = numbers.find(|number| std::net::TcpListener::bind((address(), *number)).is_ok()).unwrap();
    TaskPort { target: 80, number, protocol: "tcp".to_owned() }
}

fn task() -> TaskRecord {
    TaskRecord {
        id: TASK,
        stack: "shop".to_owned(),
        service: "web".to_owned(),
        group: 1,
        index: 2,
        node: 1,
        ports: Vec::new(),
        needs: ResourceSpec::default(),
        goal: Goal::Run,
        since: String::new(),
        why: String::new(),
        run: None,
    }
}

fn group() -> GroupRecord {
    let process = ProcessSpec {
        program: "web".to_owned(),
        files: Vec::new(),
        args: Vec::new(),
        user: None,
        working_folder: None,
    };
    let spec = ServiceSpec {
        driver: "process".to_owned(),
        process: Some(process),
        environment: BTreeMap::new(),
        ports: Vec::new(),
        needs: ResourceSpec::default(),
        limits: ResourceSpec::default(),
        pids: 0,
        open_files: 0,
        constraints: Vec::new(),
        spread: Vec::new(),
        health: None,
        restart: RestartSpec { condition: RestartCondition::Any, delay_ms: 20, attempts: 0 },
        stop_signal: "SIGTERM".to_owned(),
        stop_grace_ms: 10_000,
        update: UpdateSpec::default(),
        singleton: false,
        depends_on: BTreeMap::new(),
        labels: BTreeMap::new(),
        job: None,
        values: Vec::new(),
        reload: None,
    };
    GroupRecord { id: 1, stack: "shop".to_owned(), service: "web".to_owned(), deployment: 1, hash: String::new(), spec }
}
