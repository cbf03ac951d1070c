//! Ends all tasks of a data folder whose daemon does not run: before Disco is removed from a machine.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use disco_shim::{Client, Folder};

use super::{environment, values};
use crate::cluster::tasks::folders;

/// How long a task has to end, whatever its own grace time is.
const GRACE: Duration = Duration::from_secs(10);
/// How much longer its shim has to kill it.
const SLACK: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(10);

/// What cannot be known may well run.
fn may_run(shim: &disco_shim::Process) -> bool {
    shim.runs().unwrap_or(true)
}

/// Ends all tasks, by their stop signals and then by kills. Blocks until nothing of them runs. Does nothing if there are none.
///
/// # Errors
/// A folder cannot be read, or a process cannot be killed.
pub(in crate::agent) fn end_all(data: &Path) -> Result<()> {
    let mut starts = Vec::new();
    for task in folders::tasks(data)? {
        for number in folders::attempts(data, task)? {
            let folder = Folder::new(folders::attempt(data, task, number));
            if let Ok(Some(found)) = folder.task() {
                starts.push((task, folder, found.shim));
            }
        }
    }
    starts.retain(|(_, folder, shim)| may_run(shim) || !matches!(folder.exit(), Ok(Some(_))));
    let deadline = Instant::now() + GRACE + SLACK;
    for (_, folder, _) in starts.iter().filter(|(_, _, shim)| may_run(shim)) {
        let folder = folder.clone();
        // Each waits by itself for one that does not answer, which is killed below.
        std::thread::spawn(move || Client::connect(&folder).and_then(|mut client| client.stop(Some(GRACE))));
    }
    while starts.iter().any(|(_, _, shim)| may_run(shim)) && Instant::now() < deadline {
        std::thread::sleep(INTERVAL);
    }
    let mut left = 0;
    for (_, _, shim) in &starts {
        shim.kill()?;
    }
    for (task, folder, shim) in starts {
        while may_run(&shim) && Instant::now() < deadline + SLACK {
            std::thread::sleep(INTERVAL);
        }
        left += usize::from(may_run(&shim));
        if folder.exit()?.is_none() {
            let home = folders::task(data, task).join(folders::FILES);
            let home = fs_err::canonicalize(&home).unwrap_or(home);
            left += folder.clear(&environment::marks(task, &home))?;
        }
    }
    disco_shim::sweep();
    values::forget(data)?;
    if left > 0 {
        bail!("{left} processes of tasks cannot be killed");
    }
    Ok(())
}
