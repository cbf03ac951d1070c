//! `disco job run`: starts a run, and follows it to its end.
//!
//! The run is the cluster's. This command reads its record and the output of its tasks, so it continues after a change of leader, and
//! on another node when a run is tried again there.

use std::{collections::BTreeSet, time::Duration};

use disco_proto::v1::{CancelJobRun, RunJob, change_jobs_request::Change};
use disco_store::typed::{JobRunRecord, JobRunState};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{BETWEEN, PATIENCE};
use crate::{
    cli::{Format, JobRunArgs},
    client::Client,
    commands::logs::follow_task,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    view::{RunView, would},
    workload::{Catalogue, RunName, TaskLine, change_jobs, job, recorded_run},
};

/// Lines that wait for the terminal; more wait on the nodes.
const QUEUE: usize = 64;
/// Time for the last output of a run that is over.
const LAST_OUTPUT: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &JobRunArgs, context: &Context) -> Outcome<ExitStatus> {
    let mut interrupts = Interrupts::new()?;
    let client = Client::open(context)?;
    let found = tokio::select! {
        found = find(args, &client) => found?,
        name = interrupts.next() => {
            return Err(Failure::new(ExitStatus::Cancelled, format!("cancelled ({name}): no run was started")));
        }
    };
    let ((stack, job), catalogue) = found;
    let token = uuid::Uuid::new_v4().to_string();
    let request = RunJob { stack: stack.clone(), job: job.clone(), args: args.args.clone(), token };
    let answer = change_jobs(&client, Change::Run(request), args.change.dry_run).await?;
    let name = RunName { stack, job, number: answer.run };
    if args.change.dry_run {
        return would(context, vec![format!("start run `{name}`")]);
    }
    if args.change.detach {
        let id = name.to_string();
        context.printer.show(&RunView::started(&name))?;
        context.printer.note(&format!(
            "`disco job show {}/{}` shows the run, `disco logs -f {id}` its output",
            name.stack, name.job
        ));
        return Ok(ExitStatus::Done);
    }
    let run = Follow::new(client, context, name).run(&mut interrupts).await?;
    if !is_raw(context) {
        context.printer.show(&RunView::new(run.clone(), &catalogue))?;
    }
    end(context, &run)
}

async fn find(args: &JobRunArgs, client: &Client) -> Outcome<((String, String), Catalogue)> {
    let catalogue = Catalogue::load(client).await?;
    Ok((job(&args.job, &catalogue)?, catalogue))
}

/// Whether the program's output is this command's data.
fn is_raw(context: &Context) -> bool {
    matches!(context.printer.format(), Format::Table | Format::Wide)
}

/// The signals by which an operator ends a command.
struct Interrupts(Signal, Signal);

impl Interrupts {
    fn new() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::failed("cannot listen to signals").because(&error));
        Ok(Self(listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.0.recv() => "interrupt",
            _ = self.1.recv() => "terminated",
        }
    }
}

/// A run that is followed.
struct Follow<'a> {
    client: Client,
    context: &'a Context,
    name: RunName,
    /// Tasks whose output is read.
    tasks: BTreeSet<u64>,
    readers: JoinSet<()>,
    /// What was last printed about it.
    shown: String,
    interrupted: bool,
}

impl<'a> Follow<'a> {
    fn new(client: Client, context: &'a Context, name: RunName) -> Self {
        Self {
            client: client.polling(PATIENCE),
            context,
            name,
            tasks: BTreeSet::new(),
            readers: JoinSet::new(),
            shown: String::new(),
            interrupted: false,
        }
    }

    /// Prints the output until the run is over.
    async fn run(mut self, interrupts: &mut Interrupts) -> Outcome<JobRunRecord> {
        let (sender, mut lines) = mpsc::channel(QUEUE);
        let mut look = tokio::time::interval(BETWEEN);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let run = loop {
            tokio::select! {
                biased;
                name = interrupts.next() => self.interrupt(name).await?,
                Some(line) = lines.recv() => self.print(line)?,
                _ = look.tick() => {
                    let run = self.read(interrupts).await?;
                    self.note(&run, &sender).await?;
                    if run.is_over() {
                        break run;
                    }
                }
            }
        };
        drop(sender);
        self.last_output(&mut lines, interrupts).await?;
        Ok(run)
    }

    /// The run's record. An interrupt counts also while the cluster has no leader.
    async fn read(&mut self, interrupts: &mut Interrupts) -> Outcome<JobRunRecord> {
        let (client, name) = (self.client.clone(), self.name.clone());
        let reading = recorded_run(&client, &name);
        let found = tokio::select! {
            found = reading => found?,
            name = interrupts.next() => {
                self.interrupt(name).await?;
                recorded_run(&self.client, &self.name).await?
            }
        };
        found.ok_or_else(|| {
            Failure::new(ExitStatus::NotFound, format!("run `{}` was removed meanwhile", self.name))
                .hint("its job was removed, or retains fewer runs than have ended since")
        })
    }

    /// Cancels the run; a second interrupt leaves it alone.
    async fn interrupt(&mut self, name: &str) -> Outcome<()> {
        let run = &self.name;
        let left = |message: String| {
            Failure::new(ExitStatus::Cancelled, message)
                .hint(format!("`disco job show {}/{}` shows how it ends", run.stack, run.job))
        };
        if self.interrupted {
            return Err(left(format!("not waited for the end of run `{run}`, which was cancelled")));
        }
        self.interrupted = true;
        let request = CancelJobRun { stack: run.stack.clone(), job: run.job.clone(), run: run.number };
        self.context
            .printer
            .always(&format!("cancelling run `{run}` ({name}): its program is asked to end; again to wait no longer"));
        change_jobs(&self.client, Change::Cancel(request), false)
            .await
            .map_err(|failure| failure.cause(format!("run `{run}` may go on: `disco job cancel {run}` cancels it")))?;
        Ok(())
    }

    /// Reads the output of a further try, and says what it waits for.
    async fn note(&mut self, run: &JobRunRecord, lines: &mpsc::Sender<Result<TaskLine, String>>) -> Outcome<()> {
        if let Some(task) = run.task.filter(|task| !self.tasks.contains(task)) {
            // The task's record comes with the run's.
            let catalogue = Catalogue::load(&self.client).await?;
            if let Some(task) = catalogue.tasks.iter().find(|other| other.record.id == task) {
                self.tasks.insert(task.record.id);
                self.readers.spawn(follow_task(self.client.clone(), task.clone(), None, lines.clone()));
            }
        }
        if run.state == JobRunState::Waiting && !run.reason.is_empty() && run.reason != self.shown {
            self.context.printer.note(&format!("run `{}` waits: {}", self.name, run.reason));
            self.shown.clone_from(&run.reason);
        }
        Ok(())
    }

    fn print(&self, line: Result<TaskLine, String>) -> Outcome<()> {
        let line = match line {
            Ok(line) => line,
            Err(note) => {
                self.context.printer.warn(&note);
                return Ok(());
            }
        };
        if line.part.missed > 0 {
            self.context.printer.warn(&format!("{} bytes of its output are lost", line.part.missed));
        }
        let mut bytes = line.part.line.to_vec();
        bytes.push(b'\n');
        if line.part.error || !is_raw(self.context) {
            self.context.printer.write_error(&bytes);
            return Ok(());
        }
        self.context.printer.write(&bytes)
    }

    /// What was printed before the end of the program, and has not come yet.
    async fn last_output(
        &mut self,
        lines: &mut mpsc::Receiver<Result<TaskLine, String>>,
        interrupts: &mut Interrupts,
    ) -> Outcome<()> {
        let until = Instant::now() + LAST_OUTPUT;
        loop {
            tokio::select! {
                biased;
                _ = interrupts.next() => return Ok(()),
                line = lines.recv() => match line {
                    Some(line) => self.print(line)?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(until) => {
                    self.context.printer.warn("the last output may be missing: the node of the run does not answer");
                    return Ok(());
                }
            }
        }
    }
}

/// The exit code of the command.
fn end(context: &Context, run: &JobRunRecord) -> Outcome<ExitStatus> {
    let name = run.name();
    let failed = |status, message: String| {
        let hint = format!("`disco job show {}/{}` shows the runs, `disco logs {name}` the output", run.stack, run.job);
        Err(Failure::new(status, message).hint(hint))
    };
    match run.state {
        JobRunState::Succeeded => return Ok(ExitStatus::Done),
        JobRunState::Cancelled => {
            return failed(ExitStatus::Cancelled, format!("run `{name}` was cancelled: {}", run.reason));
        }
        _ if run.unplaced => return failed(ExitStatus::Unplaced, format!("run `{name}` failed: {}", run.reason)),
        _ => {}
    }
    let tries = if run.failures > 1 { format!(" after {} tries", run.failures) } else { String::new() };
    let status = match (run.exit_code, run.signal.as_deref().and_then(crate::exit::signal_number)) {
        (Some(code), _) if code != 0 => ExitStatus::of_program(code),
        (_, Some(signal)) => ExitStatus::Program(128_u8.saturating_add(signal)),
        _ => return failed(ExitStatus::Failed, format!("run `{name}` failed{tries}: {}", run.reason)),
    };
    context.printer.note(&format!("run `{name}` failed{tries}: {}", run.reason));
    Ok(status)
}
