//! The daemon's side: starting shims and asking them.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{Answer, Request};
use crate::{Error, Folder, Spec};

/// A shim answers at once, unless the machine is overloaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a shim says on its standard output once the task has been started, or could not be: one line of JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The task runs; `task.json` says what.
    Started,
    /// It does not, and never will: why, in words.
    Failed(String),
}

impl Start {
    /// Starts a task by `command`, which runs [`crate::run`], and waits until it was executed. The shim is the child of this
    /// process, which must wait for it; it goes on if this process ends.
    ///
    /// # Errors
    /// The shim cannot be started, or does not answer within `limit` and is killed.
    pub fn task(mut command: Command, spec: &Spec, limit: Duration) -> Result<(Child, Self), Error> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let spec = serde_json::to_vec(spec).map_err(Error::Spec)?;
        let (sender, answers) = mpsc::channel();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // Ends with the shim at the latest.
        std::thread::Builder::new().name("start".to_owned()).spawn(move || {
            if let Some(mut stdin) = stdin {
                // A shim that ends early has answered why.
                let _ended_early = stdin.write_all(&spec);
            }
            let mut line = String::new();
            let read = stdout.map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
            let _nobody_waits = sender.send(read.map(|_| line));
        })?;
        let line = match answers.recv_timeout(limit) {
            Ok(line) => line?,
            Err(_) => {
                child.kill()?;
                // A process that waits in the kernel does not end at once.
                std::thread::Builder::new().name("start".to_owned()).spawn(move || drop(child.wait()))?;
                return Err(Error::Slow(limit));
            }
        };
        match serde_json::from_str(&line) {
            Ok(start) => Ok((child, start)),
            Err(_) => {
                let status = child.wait()?;
                Ok((child, Self::Failed(format!("its shim ended with {status} before it started the task"))))
            }
        }
    }
}

/// A connection to the shim of a task.
pub struct Client {
    folder: Folder,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the shim of this folder's task.
    pub fn connect(folder: &Folder) -> Result<Self, Error> {
        let failed = |source| Error::NoAnswer { folder: folder.path().to_owned(), source };
        // Through the descriptor of the folder, as an address has room for 107 bytes (unix(7)).
        let opened = fs_err::File::open(folder.path())?;
        let address = format!("/proc/self/fd/{}/socket", opened.as_raw_fd());
        let stream = UnixStream::connect(address).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { folder: folder.clone(), stream: BufReader::new(stream) })
    }

    /// Ends the task: by its stop signal, and by a kill after `grace` (of the specification when absent). Returns at once.
    pub fn stop(&mut self, grace: Option<Duration>) -> Result<(), Error> {
        let grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        self.ask(&Request::Stop { grace_ms })
    }

    /// Sends a signal, by its name, to the task's first process.
    pub fn signal(&mut self, name: &str) -> Result<(), Error> {
        self.ask(&Request::Signal { name: name.to_owned() })
    }

    /// Has the task killed when the clock of [`crate::boottime_ms`] reaches `at_ms`, and not at any time set before.
    pub fn fence(&mut self, at_ms: Option<u64>) -> Result<(), Error> {
        self.ask(&Request::Fence { at_ms })
    }

    fn ask(&mut self, request: &Request) -> Result<(), Error> {
        let failed = |source| Error::NoAnswer { folder: self.folder.path().to_owned(), source };
        let mut line = serde_json::to_vec(request).map_err(Error::Spec)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(failed)?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer).map_err(failed)?;
        match serde_json::from_str(&answer).map_err(Error::content(self.folder.path()))? {
            Answer::Done => Ok(()),
            Answer::Refused(why) => Err(Error::Refused(why)),
        }
    }
}
