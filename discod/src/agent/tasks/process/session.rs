//! A program beside a task: from the client to `discod session` and back.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use disco_proto::v1::exec_input::Input;
use disco_proto::v1::exec_output::Output;
use disco_proto::v1::{Empty, ExecOutput, TerminalSize};
use disco_shim::Spec;
use disco_shim::session::{Answer, Finish, Frames, PART, Request, Session, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::cluster::tasks::{self, ExecPart};

/// The exit code of a program that does not exist, as shells have it.
const MISSING: u32 = 127;
/// The exit code of a program that cannot be executed.
const NOT_EXECUTABLE: u32 = 126;
/// 128 and SIGKILL.
const KILLED: u32 = 137;

/// What a name means by the PATH of a program's own environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A file that can be executed.
    Program(PathBuf),
    /// Only such that cannot.
    NotExecutable(PathBuf),
    Nothing,
}

/// Looks for a program that is named without a folder.
pub(super) fn search(spec: &Spec, name: &Path) -> Found {
    use std::os::unix::fs::PermissionsExt;

    let path = spec.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path);
    let mut other = Found::Nothing;
    for file in path.split(':').filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(name)) {
        match std::fs::metadata(&file) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => return Found::Program(file),
            Ok(found) if found.is_file() && other == Found::Nothing => other = Found::NotExecutable(file),
            _ => {}
        }
    }
    other
}

/// The end of a session whose program was not found.
pub(super) fn not_found(found: &Found, name: &str) -> ExecOutput {
    match found {
        Found::NotExecutable(file) => tasks::end(NOT_EXECUTABLE, format!("`{}` is not executable", file.display())),
        Found::Program(_) | Found::Nothing => tasks::end(MISSING, format!("`{name}` is not in the task's PATH")),
    }
}

/// The size of the program's terminal, if it gets one.
pub(super) fn size(terminal: Option<&TerminalSize>) -> Option<Size> {
    let clamp = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
    terminal.map(|size| Size { columns: clamp(size.columns), rows: clamp(size.rows) })
}

/// Runs `command`, which is a session, until its program has ended or the client is gone.
pub(super) async fn relay(mut command: Command, session: Session, client: tasks::Session) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot start a session: {error}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("cannot start a session: a pipe is missing".to_owned());
    };
    let start = Request::Start(Box::new(session)).encode().map_err(|error| error.to_string())?;
    stdin.write_all(&start).await.map_err(failed)?;
    let tasks::Session { inputs, outputs, .. } = client;
    let ended = tokio::select! {
        // Both ends are dropped with the futures, by which the session ends.
        () = feed(stdin, inputs) => Ok(()),
        ended = read(stdout, &outputs) => ended,
    };
    let status = child.wait().await;
    ended.map_err(|why| match status {
        Ok(status) => format!("{why} ({status})"),
        Err(error) => format!("{why}: {error}"),
    })
}

/// Passes on what the client sends, until it is gone.
async fn feed(mut stdin: ChildStdin, mut inputs: mpsc::Receiver<Input>) {
    while let Some(input) = inputs.recv().await {
        let request = match input {
            Input::Data(bytes) => Request::Input(bytes.into()),
            Input::End(Empty {}) => Request::EndOfInput,
            Input::Resize(new) => match size(Some(&new)) {
                Some(size) => Request::Resize(size),
                None => continue,
            },
            Input::Signal(name) => Request::Signal(name),
            // There is one already.
            Input::Start(_) => continue,
        };
        let Ok(frame) = request.encode() else { continue };
        if stdin.write_all(&frame).await.is_err() {
            // The session has ended: its last answer is on the way.
            std::future::pending::<()>().await;
        }
    }
}

/// Passes on what the session answers, until its last answer is passed on or the client is gone.
async fn read(mut stdout: ChildStdout, outputs: &mpsc::Sender<ExecPart>) -> Result<(), String> {
    let mut frames = Frames::default();
    let mut buffer = vec![0; PART];
    loop {
        while let Some(answer) = frames.answer().map_err(|error| error.to_string())? {
            let is_last = matches!(answer, Answer::Ended(_));
            if outputs.send(Ok(output(answer))).await.is_err() || is_last {
                return Ok(());
            }
        }
        let count = tokio::select! {
            biased;
            () = outputs.closed() => return Ok(()),
            count = stdout.read(&mut buffer) => count,
        };
        match count {
            Ok(count @ 1..) => frames.add(&buffer[..count]),
            Ok(0) => return Err("the session has ended without a result".to_owned()),
            Err(error) => return Err(format!("cannot read from the session: {error}")),
        }
    }
}

fn output(answer: Answer) -> ExecOutput {
    let output = match answer {
        Answer::Started => Output::Started(Empty {}),
        Answer::Output { error: false, bytes } => Output::Data(bytes.into()),
        Answer::Output { error: true, bytes } => Output::Error(bytes.into()),
        Answer::Taken(count) => Output::Taken(count),
        Answer::Ended(finish) => return end(finish),
    };
    ExecOutput { output: Some(output) }
}

fn end(finish: Finish) -> ExecOutput {
    match finish {
        Finish::Ended { code: Some(code), .. } => tasks::end((code & 0xff).cast_unsigned(), String::new()),
        Finish::Ended { signal: Some(signal), .. } => tasks::end(128_u32.saturating_add_signed(signal), String::new()),
        Finish::Ended { code: None, signal: None } => tasks::end(KILLED, "its end is not known".to_owned()),
        Finish::TaskEnded => tasks::end(KILLED, "its task has ended".to_owned()),
        Finish::NotExecuted { missing: true, why } => tasks::end(MISSING, why),
        Finish::NotExecuted { missing: false, why } => tasks::end(NOT_EXECUTABLE, why),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_found_by_the_tasks_own_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tool");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let mut spec = Spec::new("/", "/");
        spec.environment.push(("PATH".to_owned(), format!("/nowhere::{}", folder.path().display())));
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(search(&spec, Path::new("tool")), Found::NotExecutable(file.clone()));
        mode(0o755);
        assert_eq!(search(&spec, Path::new("tool")), Found::Program(file.clone()));
        assert_eq!(search(&spec, Path::new("other")), Found::Nothing);
    }

    #[test]
    fn ends_are_reported_as_a_shell_does() {
        let code = |finish| match end(finish).output {
            Some(Output::End(end)) => end.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(Finish::Ended { code: Some(3), signal: None }), 3);
        assert_eq!(code(Finish::Ended { code: None, signal: Some(15) }), 143);
        assert_eq!(code(Finish::NotExecuted { missing: true, why: String::new() }), 127);
        assert_eq!(code(Finish::NotExecuted { missing: false, why: String::new() }), 126);
        assert_eq!(code(Finish::TaskEnded), 137);
    }
}
