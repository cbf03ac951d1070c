//! From a specification to an executed program.

use std::ffi::CString;
use std::fs::File;
use std::io::{Error as IoError, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use rustix::process::{
    Resource, Rlimit, getrlimit, ioctl_tiocsctty, set_parent_process_death_signal, setrlimit, setsid,
};

use crate::cgroup::Cgroup;
use crate::output::Source;
use crate::{Error, Spec};

/// Starts the task and returns it with the reading ends of its output.
pub fn launch(spec: &Spec, cgroup: Option<&Cgroup>) -> Result<(Child, Vec<(Source, OwnedFd)>), Error> {
    let streams =
        Streams { input: Stdio::null(), output: Stdio::piped(), error: Stdio::piped(), are_a_terminal: false };
    let mut child = launch_with(spec, cgroup, streams)?;
    let mut pipes = Vec::new();
    pipes.extend(child.stdout.take().map(|pipe| (Source::Output, pipe.into())));
    pipes.extend(child.stderr.take().map(|pipe| (Source::Error, pipe.into())));
    Ok((child, pipes))
}

/// The standard streams of a program.
pub struct Streams {
    pub input: Stdio,
    pub output: Stdio,
    pub error: Stdio,
    /// All three are one terminal, which becomes that of the program's session.
    pub are_a_terminal: bool,
}

/// Starts a program with these streams.
pub fn launch_with(spec: &Spec, cgroup: Option<&Cgroup>, streams: Streams) -> Result<Child, Error> {
    let failed = |step: &'static str| {
        let program = spec.program.clone();
        move |source| Error::Launch { program, step, source }
    };
    // `execve` would only say that something is not there, not what.
    let folder = fs_err::metadata(&spec.working_folder).map_err(failed("its working folder cannot be used"))?;
    if !folder.is_dir() {
        return Err(failed("its working folder cannot be used")(std::io::ErrorKind::NotADirectory.into()));
    }
    // The standard library's own type, whose errors hold the number that the parent gets.
    let mut doors: Vec<File> = match cgroup {
        Some(cgroup) => {
            let doors = cgroup.doors().map_err(failed("its control group cannot be used"))?;
            doors.into_iter().map(fs_err::File::into_file).collect()
        }
        None => Vec::new(),
    };
    let user = spec.user.clone();
    let open_files = spec.limits.open_files;
    let execute = Execute::new(spec).map_err(failed("its program, arguments or environment cannot be passed on"))?;
    let on_terminal = streams.are_a_terminal;
    let set_up = move || {
        set_up(&mut doors, user.as_ref(), open_files, on_terminal)?;
        Err(execute.run())
    };

    let mut command = Command::new(&spec.program);
    command.current_dir(&spec.working_folder).stdin(streams.input).stdout(streams.output).stderr(streams.error);
    // SAFETY: `set_up` makes system calls on values that were made before the fork, and `execve` allocates an array: this process
    // has one thread, so no lock of the allocator is held.
    #[expect(unsafe_code, reason = "the child must be set up between fork and exec")]
    unsafe {
        command.pre_exec(set_up);
    }
    command.spawn().map_err(failed("the system refused to execute it"))
}

/// The program with its arguments and environment. The standard library would give a file that is no program, such as one
/// of another architecture, to a shell.
struct Execute {
    program: CString,
    args: Vec<CString>,
    environment: Vec<CString>,
}

impl Execute {
    fn new(spec: &Spec) -> std::io::Result<Self> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| IoError::other("it has a byte of value 0"));
        let program = text(spec.program.as_os_str().as_bytes())?;
        let given = spec.args.iter().map(|arg| text(arg.as_bytes()));
        let args = std::iter::once(Ok(program.clone())).chain(given).collect::<Result<_, _>>()?;
        let environment = spec.environment.iter().map(|(name, value)| text(format!("{name}={value}").as_bytes()));
        Ok(Self { program, args, environment: environment.collect::<Result<_, _>>()? })
    }

    /// Returns only if it fails.
    fn run(&self) -> IoError {
        match nix::unistd::execve(&self.program, &self.args, &self.environment) {
            Ok(never) => match never {},
            Err(error) => error.into(),
        }
    }
}

/// In the child: gives it a state of its own, whatever the daemon's was.
fn set_up(
    doors: &mut [File],
    user: Option<&crate::User>,
    open_files: Option<u64>,
    on_terminal: bool,
) -> std::io::Result<()> {
    for door in doors {
        door.write_all(b"0")?;
    }
    setsid()?;
    if on_terminal {
        ioctl_tiocsctty(rustix::stdio::stdin())?;
    }
    // Should the shim be killed, the task does not run on without anybody who sees how it ends.
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The daemon protects itself from the kernel's search for memory; a task is what shall be found.
    if let Ok(mut score) = std::fs::OpenOptions::new().write(true).open("/proc/self/oom_score_adj") {
        let _refused_without_rights = score.write_all(b"0");
    }
    let files = match open_files {
        Some(count) => Rlimit { current: Some(count), maximum: Some(count) },
        // The kernel's own default, which programs that use `select` rely on; the daemon has raised its own.
        None => {
            let maximum = getrlimit(Resource::Nofile).maximum;
            Rlimit { current: Some(maximum.map_or(DEFAULT_FILES, |most| most.min(DEFAULT_FILES))), maximum }
        }
    };
    setrlimit(Resource::Nofile, files)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let no_core = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    setrlimit(Resource::Core, no_core)?;
    reset_signals();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    if let Some(user) = user {
        become_user(user)?;
    }
    Ok(())
}

/// Gives each signal its default action: an ignored one would stay ignored in the task.
///
/// By the kernel's own call, as libc refuses the signals that it uses itself (32 to 34), which a parent with another libc may
/// have left ignored, and knows no names for those from 35 to 64.
fn reset_signals() {
    // `struct sigaction` of the kernel: handler, flags, restorer and a mask of 64 bits. Zero is `SIG_DFL` and nothing else.
    let default = [0_u64; 4];
    for number in 1..=64 {
        // SAFETY: the kernel reads 32 bytes, which live long enough; the default action runs no code of this program.
        #[expect(unsafe_code, reason = "libc's wrapper leaves out the signals that libc uses")]
        unsafe {
            // SIGKILL and SIGSTOP are refused: they cannot be ignored.
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
    }
}

/// Groups before the user, as a user who is not root may not change groups.
fn become_user(user: &crate::User) -> std::io::Result<()> {
    let mut groups = [Gid::from_raw(0); MOST_GROUPS];
    let count = user.groups.len().min(MOST_GROUPS);
    for (place, group) in groups.iter_mut().zip(&user.groups) {
        *place = Gid::from_raw(*group);
    }
    let same = Uid::effective().as_raw() == user.uid && !Uid::effective().is_root();
    if !same {
        setgroups(&groups[..count]).map_err(IoError::from)?;
        setgid(Gid::from_raw(user.gid)).map_err(IoError::from)?;
        setuid(Uid::from_raw(user.uid)).map_err(IoError::from)?;
        // A change of user takes the signal away (prctl(2)).
        set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    }
    Ok(())
}

/// `INR_OPEN_CUR` of Linux.
const DEFAULT_FILES: u64 = 1_024;

/// No memory may be allocated between fork and exec. Linux allows 65,536; nobody has a quarter of this.
const MOST_GROUPS: usize = 256;
