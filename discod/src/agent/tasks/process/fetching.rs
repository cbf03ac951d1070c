//! Brings the contents of a task's files to this node, before the task starts.

use std::io;

use disco_store::typed::{FileRecord, ProcessSpec};
use tokio::sync::watch;

use super::files::Contents;
use crate::agent::tasks::driver::NotStarted;
use crate::local::artifacts::{Artifacts, Content, NotFetched};

/// Fetches what this node lacks. `shown` says how far that is.
pub(super) async fn fetch(
    artifacts: &Artifacts,
    contents: &dyn Contents,
    process: &ProcessSpec,
    shown: &watch::Sender<String>,
) -> Result<(), NotStarted> {
    let files = process.files.clone();
    let lacking = lacking(artifacts, files).await.map_err(|error| NotStarted::Refused(error.to_string()))?;
    for file in &lacking {
        let received = |bytes: u64| {
            shown.send_replace(progress(file, bytes));
        };
        contents.obtain(&Content::from(file), &received).await.map_err(|error| not_started(file, &error))?;
    }
    Ok(())
}

/// The files whose contents this node lacks, or has damaged.
async fn lacking(artifacts: &Artifacts, mut files: Vec<FileRecord>) -> io::Result<Vec<FileRecord>> {
    let artifacts = artifacts.clone();
    let look = move || {
        let mut lacking = Vec::new();
        for file in files.drain(..) {
            if artifacts.get(&Content::from(&file))?.is_none() {
                lacking.push(file);
            }
        }
        Ok(lacking)
    };
    tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?
}

fn progress(file: &FileRecord, received: u64) -> String {
    const MIB: u64 = 1 << 20;
    format!("fetching `{}`: {} of {} MiB", file.path, received / MIB, file.size.div_ceil(MIB))
}

fn not_started(file: &FileRecord, error: &NotFetched) -> NotStarted {
    let why = format!("fetching `{}`: {error}", file.path);
    match error {
        NotFetched::Unreachable(_) => NotStarted::Later(why),
        NotFetched::Nowhere(_) | NotFetched::NoSpace(_) | NotFetched::Failed(_) => NotStarted::Refused(why),
    }
}
