//! From a task to what its shim runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use disco_shim::{Limits, Spec, User};
use disco_store::typed::ProcessSpec;

use crate::agent::tasks::driver::{NotStarted, Order};

/// Bytes of output of one start that are retained.
const OUTPUT_BYTES: u64 = 10 << 20;

/// The program of a task.
pub(super) fn process(order: &Order) -> Result<&ProcessSpec, NotStarted> {
    order.group.spec.process.as_ref().ok_or_else(|| NotStarted::Failed("its service names no program".to_owned()))
}

/// The user of a task, if it is another one than the daemon's.
pub(super) fn user(process: &ProcessSpec) -> Result<Option<User>, NotStarted> {
    let Some(name) = &process.user else { return Ok(None) };
    let user = User::find(name).map_err(|error| NotStarted::Refused(error.to_string()))?;
    let own = rustix::process::geteuid();
    if user.uid == own.as_raw() {
        return Ok(None);
    }
    if !own.is_root() {
        return Err(NotStarted::Refused(format!(
            "the daemon does not run as root, so its tasks cannot run as user `{name}`"
        )));
    }
    Ok(Some(user))
}

/// What the shim runs.
pub(super) fn spec(
    order: &Order,
    files: &Path,
    environment: BTreeMap<String, String>,
    user: Option<User>,
    cgroup: PathBuf,
) -> Result<Spec, NotStarted> {
    let process = process(order)?;
    let service = &order.group.spec;
    let folder = process.working_folder.as_ref().map_or_else(|| files.to_owned(), PathBuf::from);
    // Another user may not pass through the data folder, but has the task's own folder as its working folder.
    let program = match user.is_some() && process.working_folder.is_none() {
        true => Path::new(".").join(&process.program),
        false => files.join(&process.program),
    };
    let given = |value: u64| (value > 0).then_some(value);
    let mut spec = Spec::new(program, folder);
    spec.args.clone_from(&process.args);
    spec.args.extend(order.task.run.iter().flat_map(|run| &run.args).cloned());
    spec.environment = environment.into_iter().collect();
    spec.user = user;
    spec.limits = Limits {
        memory: given(service.limits.memory),
        cpu_millis: given(service.limits.cpu_millis).map(|millis| u32::try_from(millis).unwrap_or(u32::MAX)),
        pids: (service.pids > 0).then_some(service.pids),
        open_files: given(service.open_files),
    };
    spec.cgroup = Some(cgroup);
    spec.stop_signal.clone_from(&service.stop_signal);
    spec.grace_ms = service.stop_grace_ms;
    spec.output_bytes = OUTPUT_BYTES;
    Ok(spec)
}

/// Sorts what a shim says of a start that failed.
pub(super) fn not_started(why: String) -> NotStarted {
    // What the machine lacks, and another one may have (errno(3)).
    const LACKS: [&str; 7] = [
        "(os error 11)",
        "(os error 12)",
        "(os error 23)",
        "(os error 24)",
        "(os error 28)",
        "(os error 30)",
        "(os error 122)",
    ];
    // By an earlier daemon, at the moment of its end.
    let before = disco_shim::Error::StartedBefore(PathBuf::new()).to_string();
    if why == disco_shim::Error::Fenced.to_string() || why.ends_with(before.trim_start_matches('`')) {
        return NotStarted::Later(why);
    }
    let not_here = LACKS.iter().any(|code| why.contains(code)) || why.contains("its control group cannot be used");
    if not_here { NotStarted::Refused(why) } else { NotStarted::Failed(why) }
}
