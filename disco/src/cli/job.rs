use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use super::ChangeArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Start a run of a job now, print its output, and end with its exit code.
    Run(JobRunArgs),
    /// List the jobs with their schedules.
    Ls,
    /// Show a job and its runs.
    Show(JobShowArgs),
    /// End a run before its program does.
    Cancel(JobCancelArgs),
}

#[derive(Debug, Args)]
#[command(
    long_about = "Start a run of a job now, print its output, and end with its exit code.\n\nThe program's standard output and \
                  standard error come out here as such, and so does its exit code; after a signal it is 128 and the signal's \
                  number. Ctrl-C cancels the run: its program receives the stop signal, and is killed after its grace time. With \
                  `-o json` the run is printed as a document, and the program's output goes to standard error. The run is the \
                  cluster's: it goes on when this command loses its connection, and with `--timeout`.",
    after_help = "Examples:\n  disco job run backup\n  disco job run shop/backup -- --full /data\n  disco job run shop/backup --detach"
)]
pub(crate) struct JobRunArgs {
    /// The job; its stack's name may be left out where it is clear.
    #[arg(value_name = "[STACK/]JOB", add = ArgValueCandidates::new(crate::project::known_services))]
    pub(crate) job: String,

    /// Arguments behind those of the stack file.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  disco job show shop/backup\n  disco job show backup -o json | jq '.runs[-1].exit_code'"
)]
pub(crate) struct JobShowArgs {
    /// The job; its stack's name may be left out where it is clear.
    #[arg(value_name = "[STACK/]JOB", add = ArgValueCandidates::new(crate::project::known_services))]
    pub(crate) job: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco job cancel shop/backup/7")]
pub(crate) struct JobCancelArgs {
    /// The run, by its job and its number.
    #[arg(value_name = "[STACK/]JOB/N")]
    pub(crate) run: String,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}
