//! One thin file per command, which wires together the modules that do the work.

mod backup;
mod bootstrap;
mod cert;
mod completion;
mod connect;
mod deploy;
mod deployments;
mod destroy;
mod do_function;
mod doctor;
mod drain;
mod env;
mod events;
mod exec;
mod init;
mod job;
mod kv;
mod logs;
mod man;
mod metrics;
mod node;
mod nodes;
mod plan;
mod ps;
mod recover;
mod relocate;
mod scale;
mod script;
mod services;
mod stack;
mod status;
mod tasks;
mod top;
mod upgrade;
mod values;
mod version;
mod why;

use disco_store::typed::ValueKind;

use crate::{
    cli::{
        BackupCommand, CertCommand, Command, ConfigCommand, JobCommand, KvCommand, NodeCommand, ScriptCommand,
        SecretCommand,
    },
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    founding::require_original,
};

pub(crate) async fn run(command: Command, context: Context) -> Outcome<ExitStatus> {
    if changes_cluster(&command) {
        require_original(&context).await?;
    }
    match command {
        Command::Init(args) => init::run(&args, &context),
        Command::Bootstrap(args) => bootstrap::run(&args, &context).await,
        Command::Destroy(args) => destroy::run(&args, &context).await,
        Command::Doctor => doctor::run(&context).await,
        Command::Status => status::run(&context).await,
        Command::Nodes => nodes::run(&context).await,
        Command::Ps(args) => ps::run(&args, &context).await,
        Command::Services(args) => services::run(&args, &context).await,
        Command::Deployments => deployments::run(&context).await,
        Command::Stack(args) => stack::run(&args, &context),
        Command::Events(args) => events::run(&args, &context).await,
        Command::Logs(args) => logs::run(&args, &context).await,
        Command::Why(args) => why::run(&args, &context).await,
        Command::Top(args) => top::run(&args, &context).await,
        Command::Metrics(args) => metrics::run(&args, &context).await,
        Command::Exec(args) => exec::run(&args, &context).await,
        Command::Plan(args) => plan::run(&args, &context).await,
        Command::Scale(args) => scale::run(&args, &context).await,
        Command::Node(NodeCommand::Ssh(args)) => node::ssh(&args, &context).await,
        Command::Node(NodeCommand::Add(args)) => node::add(&args, &context).await,
        Command::Node(NodeCommand::Rm(args)) => node::rm(&args, &context).await,
        Command::Do(args) => do_function::run(&args, &context).await,
        Command::Deploy(args) => deploy::run(&args, &context).await,
        Command::Rollback(args) => tasks::rollback(&args, &context).await,
        Command::Restart(args) => tasks::restart(&args, &context).await,
        Command::Stop(args) => tasks::stop(&args, &context).await,
        Command::Rm(args) => tasks::rm(&args, &context).await,
        Command::Drain(args) => drain::run(&args, true, &context).await,
        Command::Undrain(args) => drain::run(&args, false, &context).await,
        Command::Job(JobCommand::Run(args)) => job::run(&args, &context).await,
        Command::Job(JobCommand::Ls) => job::ls(&context).await,
        Command::Job(JobCommand::Show(args)) => job::show(&args, &context).await,
        Command::Job(JobCommand::Cancel(args)) => job::cancel(&args, &context).await,
        Command::Script(ScriptCommand::Push(args)) => script::push(&args, &context).await,
        Command::Script(ScriptCommand::Ls) => script::ls(&context).await,
        Command::Kv(KvCommand::Put(args)) => kv::put(&args, &context).await,
        Command::Kv(KvCommand::Get(args)) => kv::get(&args, &context).await,
        Command::Kv(KvCommand::Del(args)) => kv::del(&args, &context).await,
        Command::Kv(KvCommand::Ls(args)) => kv::ls(&args, &context).await,
        Command::Kv(KvCommand::Watch(args)) => kv::watch(&args, &context).await,
        Command::Secret(SecretCommand::Set(args)) => values::set_secret(&args, &context).await,
        Command::Secret(SecretCommand::Ls) => values::ls(ValueKind::Secret, &context).await,
        Command::Secret(SecretCommand::Rm(args)) => {
            values::rm(ValueKind::Secret, &args.name, args.force, args.dry_run, &context).await
        }
        Command::Config(ConfigCommand::Set(args)) => values::set_config(&args, &context).await,
        Command::Config(ConfigCommand::Get(args)) => values::get(&args, &context).await,
        Command::Config(ConfigCommand::Ls) => values::ls(ValueKind::Config, &context).await,
        Command::Config(ConfigCommand::Rm(args)) => {
            values::rm(ValueKind::Config, &args.name, args.force, args.dry_run, &context).await
        }
        Command::Backup(BackupCommand::Save(args)) => backup::save(&args, &context).await,
        Command::Backup(BackupCommand::Ls) => backup::ls(&context).await,
        Command::Backup(BackupCommand::Restore(args)) => backup::restore(&args, &context).await,
        Command::Recover(args) => recover::run(&args, &context).await,
        Command::Upgrade(args) => upgrade::run(&args, &context).await,
        Command::Cert(CertCommand::Status) => cert::status(&context).await,
        Command::Cert(CertCommand::Rotate(args)) => cert::rotate(&args, &context).await,
        Command::Cert(CertCommand::Client(args)) => cert::client(&args, &context),
        Command::Cert(CertCommand::Sign(args)) => cert::sign(&args, &context),
        Command::Connect(args) => connect::run(&args, &context).await,
        Command::Env => env::run(&context),
        Command::Completion(args) => completion::run(&args, &context),
        Command::Man => man::run(&context),
        Command::Version => version::run(&context),
    }
}

/// Whether the command changes the cluster, its machines or its data, or plans such a change. `destroy` is exempt: it must work
/// in a copy of a project, and terminates only machines that run there.
fn changes_cluster(command: &Command) -> bool {
    match command {
        Command::Init(_)
        | Command::Destroy(_)
        | Command::Doctor
        | Command::Status
        | Command::Nodes
        | Command::Ps(_)
        | Command::Services(_)
        | Command::Deployments
        | Command::Stack(_)
        | Command::Events(_)
        | Command::Logs(_)
        | Command::Job(JobCommand::Ls | JobCommand::Show(_))
        | Command::Why(_)
        | Command::Top(_)
        | Command::Metrics(_)
        | Command::Exec(_)
        | Command::Script(ScriptCommand::Ls)
        | Command::Kv(KvCommand::Get(_) | KvCommand::Ls(_) | KvCommand::Watch(_))
        | Command::Secret(SecretCommand::Ls)
        | Command::Config(ConfigCommand::Get(_) | ConfigCommand::Ls)
        | Command::Backup(BackupCommand::Save(_) | BackupCommand::Ls)
        | Command::Cert(CertCommand::Status | CertCommand::Client(_) | CertCommand::Sign(_))
        | Command::Connect(_)
        | Command::Env
        | Command::Completion(_)
        | Command::Man
        | Command::Version => false,
        Command::Bootstrap(_)
        | Command::Plan(_)
        | Command::Scale(_)
        | Command::Node(_)
        | Command::Do(_)
        | Command::Deploy(_)
        | Command::Rollback(_)
        | Command::Restart(_)
        | Command::Stop(_)
        | Command::Rm(_)
        | Command::Drain(_)
        | Command::Undrain(_)
        | Command::Job(JobCommand::Run(_) | JobCommand::Cancel(_))
        | Command::Script(ScriptCommand::Push(_))
        | Command::Kv(KvCommand::Put(_) | KvCommand::Del(_))
        | Command::Secret(SecretCommand::Set(_) | SecretCommand::Rm(_))
        | Command::Config(ConfigCommand::Set(_) | ConfigCommand::Rm(_))
        | Command::Backup(BackupCommand::Restore(_))
        | Command::Recover(_)
        | Command::Upgrade(_)
        | Command::Cert(CertCommand::Rotate(_)) => true,
    }
}

/// Whether the command ends by itself, and so reports when it waits. Others show nothing as long as nothing happens, or leave the
/// terminal to another program.
pub(crate) fn reports_progress(command: &Command) -> bool {
    match command {
        Command::Events(args) => !args.watch,
        Command::Logs(args) => !args.follow,
        command if handles_signals(command) => false,
        Command::Top(args) => args.count.is_some() || !std::io::IsTerminal::is_terminal(&std::io::stdout()),
        Command::Kv(KvCommand::Watch(_)) | Command::Node(NodeCommand::Ssh(_)) => false,
        _ => true,
    }
}

/// Whether the command itself decides what signals mean: it passes them on to a program elsewhere, or ends that program.
pub(crate) fn handles_signals(command: &Command) -> bool {
    match command {
        Command::Exec(_) => true,
        Command::Job(JobCommand::Run(args)) => !args.change.detach && !args.change.dry_run,
        _ => false,
    }
}

/// What happens to a command's work when the command is interrupted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Nature {
    /// It only reads.
    ReadsOnly,
    /// This process does the work; running the command again continues it.
    Resumable,
    /// A function of the operator's own script, which ends with this process.
    Script,
    /// The cluster does the work, and continues it.
    Continues,
    /// The cluster exchanges tasks, or the leader runs the `deploy` hook, and continues it.
    Deploys,
    /// The cluster runs a program, and continues it.
    Runs,
    /// One write to the cluster.
    Writes,
    /// One removal, which may be repeated.
    Removes,
}

pub(crate) fn nature(command: &Command) -> Nature {
    match command {
        Command::Do(_) => Nature::Script,
        Command::Deploy(_) => Nature::Deploys,
        Command::Bootstrap(_)
        | Command::Destroy(_)
        | Command::Init(_)
        | Command::Connect(_)
        | Command::Recover(_)
        | Command::Upgrade(_)
        | Command::Node(NodeCommand::Add(_))
        | Command::Backup(BackupCommand::Save(_) | BackupCommand::Restore(_)) => Nature::Resumable,
        Command::Cert(CertCommand::Rotate(_) | CertCommand::Client(_)) | Command::Backup(_) => Nature::Resumable,
        Command::Scale(_) | Command::Node(NodeCommand::Rm(_)) | Command::Script(_) => Nature::Continues,
        Command::Rollback(_)
        | Command::Restart(_)
        | Command::Stop(_)
        | Command::Rm(_)
        | Command::Drain(_)
        | Command::Undrain(_) => Nature::Continues,
        Command::Job(JobCommand::Run(_) | JobCommand::Cancel(_)) => Nature::Runs,
        Command::Secret(SecretCommand::Set(_)) | Command::Config(ConfigCommand::Set(_)) => Nature::Continues,
        Command::Secret(SecretCommand::Rm(_)) | Command::Config(ConfigCommand::Rm(_)) => Nature::Removes,
        Command::Kv(KvCommand::Put(_) | KvCommand::Del(_)) => Nature::Writes,
        _ => Nature::ReadsOnly,
    }
}

/// Whether a command may change something on this computer, on machines or in a cluster.
pub(crate) fn changes(command: &Command) -> bool {
    match command {
        Command::Kv(KvCommand::Put(_) | KvCommand::Del(_)) | Command::Node(_) => true,
        Command::Script(ScriptCommand::Ls) | Command::Backup(BackupCommand::Ls) => false,
        Command::Cert(CertCommand::Sign(_)) => true,
        other => nature(other) != Nature::ReadsOnly,
    }
}

impl Nature {
    /// The operator's next step after an interrupt, if there is one.
    pub(crate) fn next_step(self) -> Option<&'static str> {
        match self {
            Self::ReadsOnly => None,
            Self::Writes => Some("the write may still be applied: read the key before you write it again"),
            Self::Removes => Some("it may still be removed: list what there is before you go on"),
            Self::Resumable => Some("run the command again: it continues where it stopped"),
            Self::Script => Some("what the function has done so far remains; `disco status` shows the cluster"),
            Self::Deploys => Some(
                "the cluster continues a deployment that has started: `disco deployments` shows its state and its error",
            ),
            Self::Runs => {
                Some("the cluster continues the run: `disco job show JOB` shows it, `disco job cancel JOB/N` ends it")
            }
            Self::Continues => Some(
                "the cluster continues the work: follow it with `disco status`, `disco services` and `disco events`",
            ),
        }
    }
}
