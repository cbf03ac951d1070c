//! What a task has printed, over all its starts in order.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disco_proto::v1::{TaskOutputPart, TaskOutputRequest};
use disco_shim::Folder;
use disco_shim::output::{Chunk, Reader};
use tokio::sync::mpsc::Sender;
use tokio::time::MissedTickBehavior;

use super::folders;
use super::lines::{Line, Lines};
use crate::cluster::{Error, Result};
use crate::node::Node;

/// How often new output is looked for. The shim tells nobody: it must not depend on the daemon.
const INTERVAL: Duration = Duration::from_millis(150);
/// Lines that are read at once: a blocking thread is not occupied for long, and a client may be slow.
const BATCH: usize = 64;
/// Bytes of these lines.
const BATCH_BYTES: usize = 256 << 10;

/// A line, or why there are no further ones.
pub type Part = Result<TaskOutputPart>;

/// Sends the output of a task of this node, until all is sent, or the client or the task is gone.
pub async fn output(node: Node, request: TaskOutputRequest, parts: Sender<Part>) {
    let over = || super::is_over(&node, request.task_id);
    if let Err(error) = send(node.home().path(), &request, &parts, over).await {
        // Unless the client is gone.
        let _ = parts.send(Err(error)).await;
    }
}

/// Sends the output of a task in a data folder; `is_over`: nothing more comes.
///
/// # Errors
/// The output cannot be read.
pub async fn send(
    data: &Path,
    request: &TaskOutputRequest,
    parts: &Sender<Part>,
    is_over: impl Fn() -> bool,
) -> Result<()> {
    let mut output = {
        let (data, request) = (data.to_owned(), *request);
        blocking(move || Output::open(data, &request)).await?
    };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Before the last look, so that nothing that was printed until then is missed.
        let over = is_over();
        loop {
            let (then, lines) = blocking(move || {
                let lines = output.read()?;
                Ok((output, lines))
            })
            .await?;
            output = then;
            if lines.is_empty() {
                break;
            }
            for part in lines {
                if parts.send(Ok(part)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !request.follow || over {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = parts.closed() => return Ok(()),
            _ = ticks.tick() => {}
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Error::internal),
        Err(error) => Err(Error::internal(error)),
    }
}

/// Where the reading of a task's output is.
struct Output {
    data: PathBuf,
    task: u64,
    since_ms: u64,
    current: Option<Current>,
    /// The start whose output comes next.
    next: u64,
}

/// The output of one start.
struct Current {
    attempt: u64,
    folder: Folder,
    reader: Option<Reader>,
    lines: Lines,
    /// Lines that end here or before are not sent again.
    behind: u64,
    /// There is a later start, so that nothing more comes.
    superseded: bool,
}

// === impl Output ===

impl Output {
    fn open(data: PathBuf, request: &TaskOutputRequest) -> std::io::Result<Self> {
        let TaskOutputRequest { task_id: task, since_ms, lines, attempt, offset, .. } = *request;
        let mut output = Self { data, task, since_ms, current: None, next: 0 };
        match attempt {
            Some(attempt) => {
                output.since_ms = 0;
                output.current = Some(Current::behind(&output.data, task, attempt, offset)?);
                output.next = attempt + 1;
            }
            None if lines == u32::MAX => {}
            None => {
                if let Some((attempt, offset)) = before_last(&output.data, task, lines)? {
                    output.current = Some(Current::behind(&output.data, task, attempt, offset)?);
                    output.next = attempt + 1;
                }
            }
        }
        Ok(output)
    }

    /// Some further lines; none if nothing is new.
    fn read(&mut self) -> std::io::Result<Vec<TaskOutputPart>> {
        let (mut parts, mut bytes) = (Vec::new(), 0);
        loop {
            let Self { task, since_ms, .. } = self;
            if let Some(current) = &mut self.current {
                let attempt = current.attempt;
                let mut take = |line: Line| {
                    if line.at_ms >= *since_ms {
                        bytes += line.text.len();
                        parts.push(part(*task, attempt, line));
                    }
                };
                if current.read(&mut take)? {
                    if parts.len() >= BATCH || bytes >= BATCH_BYTES {
                        return Ok(parts);
                    }
                    continue;
                }
            }
            let attempts = folders::attempts(&self.data, self.task)?;
            let Some(next) = attempts.into_iter().find(|attempt| *attempt >= self.next) else { return Ok(parts) };
            match &mut self.current {
                // A task is started again after its end, which may have come after the last look.
                Some(current) if !current.superseded => current.superseded = true,
                _ => {
                    self.current = Some(Current::new(&self.data, self.task, next));
                    self.next = next + 1;
                }
            }
        }
    }
}

/// The start and the offset behind which the last lines of the past are; `None` if these are all. A place, not a number of
/// lines to pass over: the oldest ones may be removed meanwhile.
fn before_last(data: &Path, task: u64, lines: u32) -> std::io::Result<Option<(u64, u64)>> {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut ends = VecDeque::new();
    for attempt in folders::attempts(data, task)? {
        let mut current = Current::new(data, task, attempt);
        let mut note = |line: Line| {
            if ends.len() > lines {
                ends.pop_front();
            }
            ends.push_back((attempt, line.offset));
        };
        while current.read(&mut note)? {}
    }
    Ok(if ends.len() > lines { ends.pop_front() } else { None })
}

fn part(task_id: u64, attempt: u64, line: Line) -> TaskOutputPart {
    let Line { error, at_ms, text, missed, offset } = line;
    TaskOutputPart { task_id, error, at_ms, line: text.into(), missed, attempt, offset }
}

// === impl Current ===

impl Current {
    fn new(data: &Path, task: u64, attempt: u64) -> Self {
        let folder = Folder::new(folders::attempt(data, task, attempt));
        Self { attempt, folder, reader: None, lines: Lines::default(), behind: 0, superseded: false }
    }

    fn behind(data: &Path, task: u64, attempt: u64, offset: u64) -> std::io::Result<Self> {
        let mut current = Self { behind: offset, ..Self::new(data, task, attempt) };
        let output = current.folder.output();
        match Reader::before(output, offset) {
            Ok(reader) => current.reader = Some(reader),
            // Not made yet, or removed with its task.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(current)
    }

    /// Passes the lines of one further chunk, or at the end what has no end. False if nothing is new.
    fn read(&mut self, take: &mut dyn FnMut(Line)) -> std::io::Result<bool> {
        let Some(mut chunk) = self.chunk()? else { return Ok(false) };
        if chunk.0.is_none() && self.has_ended()? {
            // What was written before its end was written before the first look, or before this one.
            let Some(again) = self.chunk()? else { return Ok(false) };
            chunk = again;
            if chunk.0.is_none() {
                self.pass(take, |lines, new| lines.end(chunk.1, new));
                return Ok(false);
            }
        }
        let (Some(found), offset) = chunk else { return Ok(false) };
        self.pass(take, |lines, new| lines.add(&found, offset, new));
        Ok(true)
    }

    /// Whether nothing more comes.
    fn has_ended(&self) -> std::io::Result<bool> {
        let exit = || self.folder.exit().map_err(std::io::Error::other);
        Ok(self.superseded || exit()?.is_some() || !fs_err::exists(self.folder.path())?)
    }

    fn pass(&mut self, take: &mut dyn FnMut(Line), add: impl FnOnce(&mut Lines, &mut dyn FnMut(Line))) {
        let behind = self.behind;
        add(&mut self.lines, &mut |line| {
            if line.offset > behind {
                take(line);
            }
        });
    }

    /// The next chunk and the offset behind it.
    fn chunk(&mut self) -> std::io::Result<Option<(Option<Chunk>, u64)>> {
        let Some(reader) = self.reader()? else { return Ok(None) };
        let chunk = reader.read()?;
        Ok(Some((chunk, reader.offset())))
    }

    /// Absent until the shim has made its folder.
    fn reader(&mut self) -> std::io::Result<Option<&mut Reader>> {
        let output = self.folder.output();
        if self.reader.is_none() && fs_err::exists(&output)? {
            self.reader = Some(Reader::new(output, 0));
        }
        Ok(self.reader.as_mut())
    }
}
