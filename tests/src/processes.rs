use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::output::pid;

/// A process of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its arguments, separated by blanks.
    pub command: String,
    /// The machine that it runs on; a local machine's own process has none.
    pub machine: Option<String>,
}

/// The processes of a folder: all with one of the marks that Disco or this harness sets.
pub(crate) fn of_folder(folder: &Path) -> Vec<Process> {
    let Ok(table) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = table.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id()).filter_map(|pid| look(pid, folder)).collect()
}

/// Ends all of them, including those started meanwhile.
pub(crate) fn end_all(folder: &Path) -> Vec<Process> {
    let seen = of_folder(folder);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = of_folder(folder);
        if found.is_empty() || Instant::now() > deadline {
            return seen;
        }
        for process in found {
            send(folder, process.pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process of the folder; to no other.
///
/// # Panics
/// When the process belongs to another folder.
pub(crate) fn signal(folder: &Path, id: u32, signal: Signal) {
    let sent = send(folder, id, signal);
    // A process that is about to end has no environment.
    let whole = || std::fs::read(format!("/proc/{id}/environ")).is_ok_and(|environment| !environment.is_empty());
    assert!(sent || !is_alive(id) || !whole(), "process {id} is not one of {}", folder.display());
}

fn send(folder: &Path, id: u32, signal: Signal) -> bool {
    let ours = look(id, folder).is_some();
    if ours {
        // It may end just now.
        let _ = kill_process(pid(id), signal);
    }
    ours
}

/// Whether a process runs; one that has ended and was not reaped does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')').map(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
        })
        .unwrap_or(false)
}

/// Resident memory of a process in kB: all, anonymous, of files.
///
/// # Panics
/// When it does not run.
#[must_use]
pub fn memory(pid: u32) -> [u64; 3] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    ["VmRSS:", "RssAnon:", "RssFile:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

fn look(pid: u32, folder: &Path) -> Option<Process> {
    if !is_alive(pid) {
        return None;
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let value = |name: &str| {
        let mut entries = environment.split(|byte| *byte == 0);
        entries
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .map(|value| OsString::from_vec(value.to_vec()))
    };
    let ours = |value: &OsStr| Path::new(value).starts_with(folder);
    // A machine's own process has no mark in its environment: its working directory is its folder, even a removed one.
    let is_machine = || arguments.split(|byte| *byte == 0).nth(1) == Some(b"machine");
    // A task has a clean environment: its program or its working directory is in the folder. A shim has the task's folder as argument.
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).is_ok_and(|place| place.starts_with(folder));
    let is_shim = || {
        let mut words = arguments.split(|byte| *byte == 0).skip(1);
        words.next() == Some(b"shim") && words.next().is_some_and(|path| ours(OsStr::from_bytes(path)))
    };
    let marked = ["DISCO_LOCAL_DIR", "DISCO_TEST_DIR"].iter().any(|name| value(name).is_some_and(|value| ours(&value)))
        || link("exe")
        || is_shim()
        || value("DISCO_TASK").is_some() && link("cwd")
        || is_machine() && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place.starts_with(folder));
    marked.then(|| Process {
        pid,
        command: String::from_utf8_lossy(&arguments).replace('\0', " ").trim().to_owned(),
        machine: ["DISCO_MACHINE", "DISCO_TEST_MACHINE"]
            .iter()
            .find_map(|name| value(name))
            .map(|id| id.to_string_lossy().into_owned()),
    })
}
