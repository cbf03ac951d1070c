//! The output of tasks: the past merged by time, then what comes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use disco_proto::v1::TaskOutputRequest;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::{
    cli::LogsArgs,
    client::{Client, passing},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    workload::{Catalogue, Target, Task, TaskLine, merged, read_output, resolve},
};

/// Between two looks for tasks that have begun.
const LOOK: Duration = Duration::from_secs(1);
/// Between two attempts to reach a task's node.
const BETWEEN: Duration = Duration::from_millis(300);
/// How long the node of a task may not answer before its output ends here.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// Lines that wait for the terminal; more wait on the nodes.
const QUEUE: usize = 64;

/// Prints what the tasks of a target write.
pub(super) async fn run(args: &LogsArgs, context: &Context, client: &Client) -> Outcome<ExitStatus> {
    let catalogue = Catalogue::load(client).await?;
    let target = resolve(&args.target, &catalogue)?;
    let tasks: Vec<&Task> = catalogue.tasks.iter().filter(|task| target.has(&task.record)).collect();
    if tasks.is_empty() && !args.follow {
        context.printer.note(&format!("`{}` has no tasks at the moment", args.target));
        return Ok(ExitStatus::Done);
    }
    let since_ms = args.since.map_or(0, |since| since.millis(Timestamp::now()));
    let read = join_all(tasks.iter().map(|task| past(task, args.lines, since_ms, client))).await;
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    let mut places = Vec::new();
    for (task, read) in tasks.iter().zip(read) {
        let place = match read {
            Ok(own) => {
                let place = own.last().map(|line| (line.part.attempt, line.part.offset));
                lines.extend(own);
                place
            }
            Err(failure) => {
                context.printer.warn(&format!("cannot read the output of `{}`: {failure}", task.name()));
                failures.push(failure);
                None
            }
        };
        places.push(((*task).clone(), place));
    }
    // Nothing at all is a failure, unless more may come.
    if failures.len() == tasks.len()
        && !args.follow
        && let Some(failure) = failures.pop()
    {
        return Err(failure);
    }
    let unread: u64 = lines.iter().map(|line| line.part.missed).sum();
    if unread > 0 {
        context.printer.note(&format!("{unread} bytes of older output are lost: the nodes retain a bounded part"));
    }
    for line in merged(lines, args.lines as usize) {
        context.printer.item(&line)?;
    }
    if args.follow {
        follow(context, client, &target, places).await?;
    }
    Ok(ExitStatus::Done)
}

async fn past(task: &Task, lines: u32, since_ms: u64, client: &Client) -> Outcome<Vec<TaskLine>> {
    // To find the place from which the output is followed, one line is read, and not shown.
    let lines = lines.max(1);
    let request = TaskOutputRequest { task_id: task.record.id, lines, since_ms, ..TaskOutputRequest::default() };
    let parts = read_output(client, request).await?;
    Ok(parts.into_iter().map(|part| TaskLine::new(task, part)).collect())
}

/// Behind which attempt and offset the output goes on.
pub(in crate::commands) type Place = Option<(u64, u64)>;

/// Prints new lines until interrupted, also of tasks that begin meanwhile.
async fn follow(context: &Context, client: &Client, target: &Target, tasks: Vec<(Task, Place)>) -> Outcome<()> {
    let (sender, mut lines) = mpsc::channel(QUEUE);
    let mut known = BTreeSet::new();
    let mut readers = tokio::task::JoinSet::new();
    for (task, place) in tasks {
        known.insert(task.record.id);
        if !task.is_gone() {
            readers.spawn(read(client.clone(), task, place, sender.clone()));
        }
    }
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            Some(line) = lines.recv() => match line {
                Ok(line) => context.printer.item(&line)?,
                Err(note) => context.printer.warn(&note),
            },
            _ = look.tick() => {
                // A cluster without a leader is a reason to wait here, not to end.
                let Ok(catalogue) = Catalogue::load(client).await else { continue };
                for task in catalogue.tasks.iter().filter(|task| target.has(&task.record)) {
                    // A run may begin and end between two looks.
                    if task.is_gone() && task.record.run.is_none() {
                        continue;
                    }
                    if known.insert(task.record.id) {
                        readers.spawn(read(client.clone(), task.clone(), None, sender.clone()));
                    }
                }
                while readers.try_join_next().is_some() {}
            }
        }
    }
}

/// Sends the lines of one task until it is gone. A broken stream goes on behind the last line.
pub(in crate::commands) async fn read(
    client: Client,
    task: Task,
    mut place: Place,
    lines: mpsc::Sender<Result<TaskLine, String>>,
) {
    let mut answered = Instant::now();
    loop {
        let mut request = TaskOutputRequest { task_id: task.record.id, follow: true, ..TaskOutputRequest::default() };
        match place {
            Some((attempt, offset)) => (request.attempt, request.offset) = (Some(attempt), offset),
            // All that it has written: it was not there before.
            None => request.lines = u32::MAX,
        }
        let stream = client.call(|mut control| async move { control.task_output(request).await }).await;
        let failure = match stream {
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(part)) => {
                        answered = Instant::now();
                        place = Some((part.attempt, part.offset));
                        // The reader has ended with the command.
                        if lines.send(Ok(TaskLine::new(&task, part))).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(status) if passing(&status) => break disco_identity::describe(&status),
                    Err(status) => {
                        let why = disco_identity::describe(&status);
                        let _ = lines.send(Err(format!("cannot follow `{}`: {why}", task.name()))).await;
                        return;
                    }
                }
            },
            // The task and its output were removed.
            Err(failure) if failure.status() == ExitStatus::NotFound => return,
            Err(failure) => text(&failure),
        };
        if answered.elapsed() > BACK_WITHIN {
            let _ = lines.send(Err(format!("the node of `{}` does not answer: {failure}", task.name()))).await;
            return;
        }
        client.drop_connection();
        tokio::time::sleep(BETWEEN).await;
    }
}

fn text(failure: &Failure) -> String {
    match failure.causes() {
        [] => failure.message().to_owned(),
        causes => format!("{}: {}", failure.message(), causes.join(": ")),
    }
}
