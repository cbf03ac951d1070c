//! The machines that run on this computer, even if their folders were moved, copied or removed.
//!
//! A machine's process has its folder as its working directory, and its cluster and the id of the provider's folder among its
//! arguments. So the process and its present folder can be found.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::folder::read_json;
use super::launch::KILL_LIMIT;
use super::{MachineRecord, environment_marks};
use crate::ProviderError;
use crate::local::machine::{self, MachineArgs};
use crate::process::{self, ProcessName, kill_with_environment};

/// The suffix that the kernel adds to the path of a removed folder.
const REMOVED: &[u8] = b" (deleted)";

/// A machine of this user that runs on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningMachine {
    /// Its id in its project.
    pub id: String,
    /// The display name of its cluster.
    pub cluster: String,
    /// The present, or last, path of its folder.
    pub folder: PathBuf,
    /// Its folder was removed: no project knows it any more.
    pub lost: bool,
    /// The id of the provider's folder in which it was made; a copy of that folder has the same id.
    pub(super) project: String,
    process: ProcessName,
}

impl RunningMachine {
    /// All machines of this user, ordered by cluster and id.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut found: Vec<Self> =
            process::ids().filter(|pid| args_of(*pid).is_some()).filter_map(Self::look).collect();
        found.sort_by(|a, b| (&a.cluster, &a.folder, &a.id).cmp(&(&b.cluster, &b.folder, &b.id)));
        found
    }

    /// Those whose folder was removed.
    #[must_use]
    pub fn all_lost() -> Vec<Self> {
        Self::all().into_iter().filter(|machine| machine.lost).collect()
    }

    /// The folder of its project, as far as its path shows that.
    #[must_use]
    pub fn project_dir(&self) -> &Path {
        let local = self.folder.parent().unwrap_or(&self.folder);
        match local.parent() {
            Some(state) if local.ends_with(".disco/local") => state.parent().unwrap_or(state),
            _ => local,
        }
    }

    /// Ends a machine whose folder was removed, with everything that runs on it. A machine with a folder is left alone: the owner
    /// of the folder ends it.
    ///
    /// # Errors
    /// Its processes do not end.
    pub fn end_lost(&self) -> Result<(), ProviderError> {
        // Checked again: the operator may have taken minutes to confirm.
        match Self::look(self.process.pid).filter(|now| now.process == self.process) {
            Some(now) if !now.lost => return Err(ProviderError::NotLost { id: now.id, folder: now.folder }),
            Some(_) => self.process.signal(Signal::KILL),
            None if self.process.is_alive() => return Ok(()),
            // It has ended meanwhile, and perhaps its watcher before it: what ran on it may still run.
            None => {}
        }
        let ended = self.process.wait(KILL_LIMIT)
            && kill_with_environment(&environment_marks(&self.id, self.process), KILL_LIMIT);
        if ended {
            Ok(())
        } else {
            Err(ProviderError::io("empty", &self.folder)(std::io::Error::other("its processes cannot be killed")))
        }
    }

    fn look(pid: u32) -> Option<Self> {
        let process = ProcessName::of(pid)?;
        let own_user = rustix::process::geteuid().as_raw();
        if fs::metadata(format!("/proc/{pid}")).ok()?.uid() != own_user {
            return None;
        }
        let args = args_of(pid)?;
        // Between its fork and its exec a child of a machine has the machine's arguments, and perhaps another folder already.
        if process.parent().and_then(args_of).is_some_and(|parent| parent == args) {
            return None;
        }
        let place = process.working_directory();
        let lost = !has_record(&place, &args.id)?;
        let folder = folder_name(fs::read_link(&place).ok()?);
        // Everything was read from this process, if it is still the same one.
        process.is_alive().then_some(Self {
            id: args.id,
            cluster: args.cluster,
            folder,
            lost,
            project: args.project,
            process,
        })
    }

    /// Whether its folder is in another folder than this provider's. The folder of a machine that has just ended cannot be read any more:
    /// it lives nowhere.
    pub(super) fn lives_outside(&self, dir: &Path) -> bool {
        let inode = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let parent = inode(&self.process.working_directory().join(".."));
        parent.is_some() && parent != inode(dir)
    }
}

/// The arguments of a process that is a machine of a known folder.
fn args_of(pid: u32) -> Option<MachineArgs> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = words.strip_suffix(b"\0")?.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned());
    if words.nth(1)? != machine::SUBCOMMAND {
        return None;
    }
    let args = MachineArgs::parse(&words.collect::<Vec<OsString>>()).ok()?;
    (args.is_machine() && !args.project.is_empty()).then_some(args)
}

/// Whether this is the folder of the machine. `None` if it cannot be read.
fn has_record(folder: &Path, id: &str) -> Option<bool> {
    match read_json::<MachineRecord>(&folder.join(MachineRecord::FILE)) {
        Ok(record) => Some(record.is_some_and(|record| record.id == id)),
        // A damaged record exists.
        Err(ProviderError::Damaged { .. }) => Some(true),
        Err(_) => None,
    }
}

fn folder_name(shown: PathBuf) -> PathBuf {
    let bytes = shown.into_os_string().into_vec();
    let name = bytes.strip_suffix(REMOVED).unwrap_or(&bytes);
    PathBuf::from(OsString::from_vec(name.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    fn of_folder(folder: &str) -> RunningMachine {
        RunningMachine {
            id: "local-1".to_owned(),
            cluster: "shop".to_owned(),
            folder: folder_name(folder.into()),
            lost: true,
            project: "ab".to_owned(),
            process: ProcessName::own().unwrap(),
        }
    }

    #[test]
    fn the_projects_folder_is_seen_in_the_machines() {
        assert_eq!(of_folder("/a/shop/.disco/local/local-1 (deleted)").project_dir(), Path::new("/a/shop"));
        assert_eq!(of_folder("/srv/machines/local-1").project_dir(), Path::new("/srv/machines"));
        assert_eq!(of_folder("/").project_dir(), Path::new("/"));
    }

    #[test]
    fn a_child_that_was_forked_and_has_not_run_its_program_yet_is_not_a_machine() {
        let folder = tempfile::tempdir().unwrap();
        // A shell has the arguments of its script, and so has a subshell, which is a fork of it.
        let script = "exec 3<&0; (cd home && echo ready && read -r line <&3) & wait";
        fs::write(folder.path().join("machine"), script).unwrap();
        fs::write(folder.path().join(MachineRecord::FILE), "damaged, and so the record of some machine").unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        let args = ["machine", "--id", "local-7", "--project", "of-this-test"];
        let mut command = std::process::Command::new("sh");
        command.args(args).current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut machine = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(machine.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let found: Vec<_> = RunningMachine::all().into_iter().filter(|one| one.project == "of-this-test").collect();
        // The subshell ends with its input.
        drop(machine.stdin.take());
        machine.wait().unwrap();
        let [one] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((one.process.pid, one.lost), (machine.id(), false));
        assert_eq!(one.folder, folder.path().canonicalize().unwrap());
    }

    #[test]
    fn a_machine_that_has_ended_lives_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("sleep");
        let mut process = command.arg("60").current_dir(&folder).spawn().unwrap();
        let machine = RunningMachine { process: ProcessName::of(process.id()).unwrap(), ..of_folder("/a") };
        let (own, other) = (folder.path().parent().unwrap(), folder.path());
        assert!(!machine.lives_outside(own) && machine.lives_outside(other));
        process.kill().unwrap();
        // Not reaped: its folder is unknown, though its entry in the process table is still there.
        while machine.process.is_alive() {
            std::thread::yield_now();
        }
        assert!(!machine.lives_outside(own) && !machine.lives_outside(other));
        process.wait().unwrap();
    }

    #[test]
    fn what_ran_on_a_lost_machine_ends_even_if_the_machine_ended_before() {
        let mut machine = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let lost = RunningMachine { process: ProcessName::of(machine.id()).unwrap(), ..of_folder("/a (deleted)") };
        machine.kill().unwrap();
        machine.wait().unwrap();
        let marks = environment_marks(&lost.id, lost.process);
        let mut left = std::process::Command::new("sleep");
        for mark in &marks {
            let mark = mark.to_str().unwrap();
            let (name, value) = mark.split_once('=').unwrap();
            left.env(name, value);
        }
        let mut left = left.arg("60").spawn().unwrap();
        lost.end_lost().unwrap();
        assert!(!left.wait().unwrap().success(), "it was killed");
    }

    #[test]
    fn what_is_no_machine_is_none() {
        assert_eq!(RunningMachine::look(std::process::id()), None);
        // Nor is it ended if a caller requests that.
        of_folder("/a/shop/.disco/local/local-1 (deleted)").end_lost().unwrap();
    }
}
