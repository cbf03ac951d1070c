//! The driver `process`: each task is the child of a shim (`discod shim`), which outlives the daemon.

mod end_all;
mod environment;
mod fetching;
mod files;
mod ports;
mod session;
mod shims;
mod spec;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use disco_proto::v1::{ExecOutput, ExecStart};
use disco_shim::session::Session;
use disco_shim::{Client, Folder, Probe, Probed, SLICE, Spec, User};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::driver::{Check, Driver, End, NotStarted, Order, Start};
use crate::cluster::secrets::Value;
use crate::cluster::tasks::{self, folders};
use crate::local::artifacts::Artifacts;
use files::PlaceError;
use session::Found;
use shims::Shims;
use values::Values;

pub(in crate::agent) use end_all::end_all;
pub(super) use files::Contents;
pub(super) use shims::Program;
pub(super) use values::{Fetch, Fetching};

/// Starts at once: fewer than there are threads for what blocks, so that a slow one does not hold up all else.
const STARTING: usize = 4;
/// Pause before a task's end is looked for again where it could not be known.
const AGAIN: Duration = Duration::from_secs(1);
/// Starts whose output is retained: the bound for the output of a task that crashes again and again.
const OUTPUTS: usize = 5;
/// Starts that are remembered.
const STARTS: usize = 64;
/// Attempts to execute a program that another thread's child may still hold open for writing, between its fork and exec.
const BUSY_ATTEMPTS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// `ETXTBSY` in the words of the standard library.
const BUSY: &str = "(os error 26)";
/// The name of the driver.
pub(super) const NAME: &str = "process";

/// The driver. Cheap to clone.
#[derive(Clone)]
pub(super) struct Process(Arc<Inner>);

struct Inner {
    data: PathBuf,
    artifacts: Artifacts,
    contents: Arc<dyn Contents>,
    shims: Shims,
    /// Distinguishes the control groups of several nodes of one machine.
    node: String,
    machine: Vec<(String, String)>,
    starting: Semaphore,
    /// Whom running tasks run as: the system's list of users may be slow.
    users: Mutex<BTreeMap<u64, Option<User>>>,
    values: Values,
}

// === impl Process ===

impl Process {
    /// Of a node with this data folder. `node`: no other node on the machine has this name for control groups.
    /// `fetch` gets the secrets and configs of tasks.
    pub(super) fn new(
        data: &Path,
        node: String,
        program: Program,
        artifacts: Artifacts,
        contents: Arc<dyn Contents>,
        fetch: Fetch,
    ) -> Self {
        let values = Values::new(data, &node, fetch);
        let (shims, machine) = (Shims::new(program), environment::machine());
        let (starting, users) = (Semaphore::new(STARTING), Mutex::default());
        let data = data.to_owned();
        Self(Arc::new(Inner { artifacts, contents, shims, data, node, machine, starting, users, values }))
    }

    /// How a start ended, once it has.
    async fn end(&self, task: u64, number: u64) -> Result<End> {
        let folder = self.0.folder(task, number);
        match self.0.shims.ended(&folder, (task, number)).await? {
            Some(end) => Ok(end),
            None => self.blocking(move |inner| inner.clear(task, number)).await?,
        }
    }

    /// Does something that blocks.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T> {
        let inner = self.0.clone();
        Ok(tokio::task::spawn_blocking(move || work(&inner)).await?)
    }
}

#[async_trait]
impl Driver for Process {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn end_orphans(&self) -> Result<()> {
        self.blocking(Inner::end_orphans).await?
    }

    async fn tasks(&self) -> Result<Vec<u64>> {
        Ok(self.blocking(|inner| folders::tasks(&inner.data)).await??)
    }

    async fn starts(&self, task: u64) -> Result<Vec<Start>> {
        self.blocking(move |inner| inner.starts(task)).await?
    }

    async fn prepare(&self, order: &Order, shown: &watch::Sender<String>) -> Result<(), NotStarted> {
        fetching::fetch(&self.0.artifacts, &*self.0.contents, spec::process(order)?, shown).await
    }

    async fn start(&self, order: &Order, number: u64, fence_ms: Option<u64>) -> Result<Start, NotStarted> {
        let order = order.clone();
        let values = self.0.values.get(&order).await?;
        // Each occupies a thread, and a shim may be slow to answer.
        let _permit = self.0.starting.acquire().await.map_err(|error| NotStarted::Later(error.to_string()))?;
        let started = self.blocking(move |inner| inner.start(&order, number, fence_ms, values)).await;
        started.unwrap_or_else(|error| Err(NotStarted::Refused(format!("{error:#}"))))
    }

    async fn ended(&self, task: u64, number: u64) -> End {
        let mut logged = false;
        loop {
            let error = match self.end(task, number).await {
                Ok(end) => return end,
                Err(error) => error,
            };
            // It may well run: nothing is started beside it.
            if !std::mem::replace(&mut logged, true) {
                tracing::error!(task, error = format!("{error:#}"), "cannot know whether a task has ended");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn stop(&self, task: u64, number: u64) -> Result<()> {
        Ok(self.blocking(move |inner| Client::connect(&inner.folder(task, number))?.stop(None)).await??)
    }

    async fn kill(&self, task: u64, number: u64) -> Result<()> {
        if let Some(found) = self.0.folder(task, number).task()? {
            // The kernel kills the task with it, and what is left is cleared after its end.
            found.shim.kill()?;
        }
        Ok(())
    }

    async fn fence(&self, task: u64, number: u64, at_ms: u64) -> Result<()> {
        Ok(self.blocking(move |inner| Client::connect(&inner.folder(task, number))?.fence(Some(at_ms))).await??)
    }

    async fn check(&self, order: &Order, check: Check) -> Result<(), String> {
        // Not its arguments, which may hold secrets.
        let name = check.name.clone();
        self.0.values.know_variables(order).await.map_err(|why| format!("{name}: {why}"))?;
        let (order, own) = (order.clone(), name.clone());
        let probe = self.blocking(move |inner| inner.probe(&order, check)).await;
        let probe = probe.map_err(|error| format!("{own}: {error:#}"))??;
        let limit = Duration::from_millis(probe.limit_ms);
        match self.0.shims.check(probe).await {
            Ok(Probed::Ended { code: Some(0), .. }) => Ok(()),
            Ok(Probed::Ended { code, signal, output }) => {
                let end = signal.or(code.map(|code| format!("exit code {code}"))).unwrap_or_default();
                Err(with_output(&format!("{name}: {end}"), &output))
            }
            Ok(Probed::TimedOut { output }) => Err(with_output(&format!("{name}: timed out after {limit:?}"), &output)),
            Ok(Probed::Failed(why)) => Err(why),
            Err(error) => Err(format!("{name}: {error:#}")),
        }
    }

    async fn session(&self, order: &Order, client: tasks::Session) -> Result<(), String> {
        // An earlier daemon may have started the task.
        self.0.values.know_variables(order).await?;
        let (own, start) = (order.clone(), client.start.clone());
        let prepared = self.blocking(move |inner| inner.session(&own, &start)).await;
        match prepared.map_err(|error| format!("{error:#}"))?? {
            Ok(session) => session::relay(self.0.shims.session(), session, client).await,
            Err(end) => {
                // Unless the client is gone.
                let _ = client.outputs.send(Ok(end)).await;
                Ok(())
            }
        }
    }

    async fn remove(&self, task: u64) -> Result<()> {
        self.blocking(move |inner| inner.remove(task)).await?
    }

    async fn reload(&self, order: &Order, number: u64) -> Result<(), String> {
        let values = self.0.values.get(order).await.map_err(NotStarted::words)?;
        let order = order.clone();
        let reloaded = self.blocking(move |inner| inner.reload(&order, number, values)).await;
        reloaded.map_err(|error| format!("{error:#}"))?
    }

    async fn keep_values(&self, tasks: BTreeSet<u64>) -> Result<()> {
        Ok(self.blocking(move |inner| inner.values.keep(&tasks)).await??)
    }
}

/// Adds the end of what a command printed.
fn with_output(what: &str, output: &str) -> String {
    match output.trim() {
        "" => what.to_owned(),
        output => format!("{what}: {output}"),
    }
}

// === impl Inner ===

/// All but what makes paths blocks.
impl Inner {
    fn files(&self, task: u64) -> PathBuf {
        folders::task(&self.data, task).join(folders::FILES)
    }

    fn folder(&self, task: u64, number: u64) -> Folder {
        Folder::new(folders::attempt(&self.data, task, number))
    }

    fn cgroup(&self, task: u64) -> PathBuf {
        Path::new(SLICE).join(format!("{}-{task}", self.node))
    }

    /// A task's own folder, as the task sees it: the data folder may be moved while the daemon runs.
    fn home(&self, task: u64) -> PathBuf {
        let files = self.files(task);
        fs_err::canonicalize(&files).unwrap_or(files)
    }

    fn environment(&self, order: &Order) -> BTreeMap<String, String> {
        let mut all = environment::of(order, &self.home(order.task.id), &self.machine);
        all.extend(self.values.environment(order));
        all
    }

    fn starts(&self, task: u64) -> Result<Vec<Start>> {
        let mut starts = Vec::new();
        let numbers = folders::attempts(&self.data, task)?;
        // Only the last start can be running, and the marks of all starts are the same.
        if let Some(last) = numbers.last().copied()
            && Shims::was_killed(&self.folder(task, last))?
        {
            self.clear(task, last)?;
        }
        for number in numbers {
            starts.extend(Shims::look(&self.folder(task, number), number)?);
        }
        Ok(starts)
    }

    /// Whom a task runs as, if it is another user than the daemon's.
    fn user(&self, order: &Order) -> Result<Option<User>, NotStarted> {
        let user = spec::user(spec::process(order)?)?;
        self.users.lock().insert(order.task.id, user.clone());
        Ok(user)
    }

    fn prepare(&self, order: &Order, number: u64, values: Option<Vec<Value>>) -> Result<Spec, NotStarted> {
        let task = order.task.id;
        let process = spec::process(order)?;
        if let Some(why) = ports::taken(order.address, &order.task.ports) {
            return Err(NotStarted::Refused(why));
        }
        let user = self.user(order)?;
        if !process.files.iter().any(|file| file.path == process.program) {
            return Err(NotStarted::Failed(format!("its program `{}` is not among its files", process.program)));
        }
        let files = self.files(task);
        let owner = user.as_ref().map(|user| (user.uid, user.gid));
        files::place(&self.artifacts, &process.files, &files, owner).map_err(|error| match error {
            PlaceError::Path(_) => NotStarted::Failed(error.to_string()),
            // It was fetched just before.
            PlaceError::Missing(_) => NotStarted::Later(error.to_string()),
            PlaceError::Io(_) => NotStarted::Refused(error.to_string()),
        })?;
        self.forget_old(task, number).map_err(|error| NotStarted::Refused(error.to_string()))?;
        if let Some(values) = values {
            self.values.put(order, &values, user.as_ref())?;
        }
        spec::spec(order, &self.home(task), self.environment(order), user, self.cgroup(task))
    }

    /// Removes what is left of starts that were long ago.
    fn forget_old(&self, task: u64, number: u64) -> std::io::Result<()> {
        let earlier = folders::attempts(&self.data, task)?.into_iter().rev().filter(|earlier| *earlier < number);
        for (age, earlier) in earlier.enumerate().skip(OUTPUTS - 1) {
            let folder = self.folder(task, earlier);
            if age >= STARTS {
                fs_err::remove_dir_all(folder.path())?;
            } else if fs_err::exists(folder.output())? {
                fs_err::remove_dir_all(folder.output())?;
            }
        }
        Ok(())
    }

    /// Gives a running task other files, and its signal.
    fn reload(&self, order: &Order, number: u64, values: Option<Vec<Value>>) -> Result<(), String> {
        let user = self.user(order).map_err(NotStarted::words)?;
        if let Some(values) = values {
            self.values.put(order, &values, user.as_ref()).map_err(NotStarted::words)?;
        }
        let Some(signal) = &order.group.spec.reload else { return Ok(()) };
        let folder = self.folder(order.task.id, number);
        let sent = Client::connect(&folder).and_then(|mut client| client.signal(signal));
        sent.map_err(|error| format!("cannot send {signal}: {error}"))
    }

    fn start(
        &self,
        order: &Order,
        number: u64,
        fence_ms: Option<u64>,
        values: Option<Vec<Value>>,
    ) -> Result<Start, NotStarted> {
        let mut spec = self.prepare(order, number, values)?;
        spec.fence_ms = fence_ms;
        let key = (order.task.id, number);
        let folder = self.folder(key.0, key.1);
        let mut attempts = 1;
        loop {
            match self.shims.start(&folder, key, &spec) {
                Err(NotStarted::Failed(why)) if why.contains(BUSY) && attempts < BUSY_ATTEMPTS => {
                    attempts += 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Ends what the killed shim of a start has left.
    fn clear(&self, task: u64, number: u64) -> Result<End> {
        let folder = self.folder(task, number);
        let Some(found) = folder.task()? else { return Ok(shims::unknown()) };
        anyhow::ensure!(!found.shim.runs()?, "its shim runs");
        match folder.clear(&environment::marks(task, &self.home(task)))? {
            0 => {}
            left => tracing::error!(task, left, "processes of a task cannot be killed"),
        }
        Ok(shims::lost(&found))
    }

    /// Another program in the environment of a task.
    fn command(&self, order: &Order, words: Vec<String>) -> Result<Spec, String> {
        let task = order.task.id;
        let known = self.users.lock().get(&task).cloned();
        let user = match known {
            Some(user) => user,
            // Of a task that an earlier daemon started.
            None => self.user(order).map_err(NotStarted::words)?,
        };
        let environment = self.environment(order);
        let spec = spec::spec(order, &self.home(task), environment, user, self.cgroup(task));
        let mut command = spec.map_err(NotStarted::words)?;
        let mut all = words.into_iter();
        command.program = all.next().unwrap_or_default().into();
        command.args = all.collect();
        Ok(command)
    }

    fn probe(&self, order: &Order, check: Check) -> Result<Probe, String> {
        let mut command = self.command(order, check.words)?;
        if !command.program.to_string_lossy().contains('/') {
            command.program = match session::search(&command, &command.program) {
                Found::Program(file) => file,
                _ => return Err(format!("`{}` is not in its PATH", command.program.display())),
            };
        }
        Ok(Probe { command, limit_ms: u64::try_from(check.limit.as_millis()).unwrap_or(u64::MAX) })
    }

    /// The session of a program beside a running task, or its end if there is no such program.
    fn session(&self, order: &Order, start: &ExecStart) -> Result<Result<Session, ExecOutput>, String> {
        let task = order.task.id;
        let unknown = |error: &dyn std::fmt::Display| format!("cannot know whether task {task} runs: {error}");
        let last = folders::attempts(&self.data, task).map_err(|error| unknown(&error))?.pop();
        let last = last.and_then(|last| self.folder(task, last).task().transpose());
        let running = match last.transpose().map_err(|error| unknown(&error))? {
            Some(found) if found.process.runs().map_err(|error| unknown(&error))? => found.process,
            _ => return Err(format!("task {task} does not run")),
        };
        let mut program = self.command(order, start.command.clone())?;
        let name = program.program.to_string_lossy().into_owned();
        if !name.contains('/') {
            match session::search(&program, &program.program) {
                Found::Program(file) => program.program = file,
                found => return Ok(Err(session::not_found(&found, &name))),
            }
        }
        let terminal = session::size(start.terminal.as_ref());
        let has_term = program.environment.iter().any(|(name, _)| name == "TERM");
        if terminal.is_some() && !has_term && !start.term.is_empty() {
            program.environment.push(("TERM".to_owned(), start.term.clone()));
        }
        Ok(Ok(Session { program, task: running, terminal }))
    }

    fn end_orphans(&self) -> Result<()> {
        let tasks = fs_err::canonicalize(&self.data)?.join(folders::TASKS);
        let count = disco_shim::clear_orphans(&tasks, environment::FOLDER)?;
        if count > 0 {
            tracing::warn!(count, folder = %tasks.display(), "ended processes of tasks whose folders were removed");
        }
        Ok(())
    }

    fn remove(&self, task: u64) -> Result<()> {
        let folder = folders::task(&self.data, task);
        let starts = self.starts(task)?;
        anyhow::ensure!(starts.iter().all(|start| start.end.is_some()), "task {task} still runs");
        self.users.lock().remove(&task);
        match fs_err::remove_dir_all(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }
}
