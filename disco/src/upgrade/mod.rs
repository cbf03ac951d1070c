//! New binaries for all nodes of a cluster, one node after the other, driven from the operator's machine over SSH.
//!
//! ```text
//! look at all nodes ──> send to all that lack it ──> step by step ──────────────> end
//!                            (nothing runs it yet)      └─ one does not come back ──> back, step by step
//! ```
//! Which node is next, and whether one may be taken down at all, is decided by [`disco_planner::upgrade`]; here it is looked at
//! and done.
//!
//! Invariants:
//! - What would not run is found before anything is restarted: the binary is checked, and started once, on every machine.
//! - All that is known of an upgrade that was begun stands on the machines, so whoever runs the command next goes on.
//! - One operator at a time, as the cluster knows; a program that could not read the cluster's data is refused first of all.
//! - A node is taken down only while all others are healthy, and nobody but the one that is down can be the reason to go back.

mod claim;
mod format;
mod nodes;
mod record;
mod roll;
mod wait;

use std::time::Duration;

use disco_planner::upgrade::{Direction, Step, next};
use disco_provider::install::Binaries;

use self::claim::Claim;
pub(crate) use self::record::{Action, NodeRecord, Record};
use self::roll::{Roll, Stop};
use crate::{
    cli::UpgradeArgs,
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::find_binaries,
    project::Lock,
    remote::Machines,
};

/// What every step needs.
pub(crate) struct Upgrade {
    context: Context,
    client: Client,
    machines: Machines,
    binaries: Binaries,
    /// Time for one node to come back.
    node_limit: Duration,
    /// Take the right to upgrade away from whoever has it.
    take_over: bool,
    /// Of the project: one command at a time changes its cluster from here.
    _lock: Option<Lock>,
}

impl Upgrade {
    pub(crate) async fn open(args: &UpgradeArgs, context: &Context) -> Outcome<Self> {
        let (project, client) = (context.project()?, Client::open(context)?);
        let lock = if args.dry_run { None } else { Some(Lock::take(&project.state(), "upgrade")?) };
        Ok(Self {
            context: context.clone(),
            client,
            machines: Machines::open(context)?,
            binaries: find_binaries(project.root()).await?,
            node_limit: args.node_timeout.unsigned_abs(),
            take_over: args.take_over,
            _lock: lock,
        })
    }

    /// What it would do.
    pub(crate) async fn dry_run(&self) -> Outcome<Record> {
        self.check_format().await?;
        let mut roll = Roll::new(self, None);
        let nodes = roll.calm(false).await?;
        let mut view = roll.nodes.planned(&nodes);
        loop {
            match next(&view, Direction::Forward).map_err(|refusal| roll::refused(&refusal, &nodes))? {
                Step::Finish => return Ok(Record { dry_run: true, ..roll.record }),
                Step::Replace(id) | Step::Await(id) => {
                    roll.record.done(id, Action::Replaced, Duration::ZERO, None);
                    for node in view.iter_mut().filter(|node| node.id == id) {
                        (node.new, node.healthy) = (true, true);
                    }
                }
                Step::HandOver { to, .. } => {
                    for node in &mut view {
                        node.leader = node.id == to;
                    }
                }
            }
        }
    }

    /// Does it. With what was done comes why it failed, if so.
    pub(crate) async fn run(&self) -> Outcome<(Record, Option<Failure>)> {
        self.check_format().await?;
        let claim =
            Claim::take(&self.client, self.context.project()?.state(), self.binaries.discod.sha256(), self.take_over)
                .await?;
        let result = self.roll(&claim).await;
        // Whatever became of it, this command does nothing more.
        claim.release().await;
        result
    }

    async fn roll(&self, claim: &Claim) -> Outcome<(Record, Option<Failure>)> {
        let mut roll = Roll::new(self, Some(claim));
        let failure = match roll.take_all(Direction::Forward).await {
            Ok(()) => None,
            Err(Stop::Here(failure)) if roll.record.changed() => Some(failure),
            Err(Stop::Here(failure)) => return Err(failure),
            Err(Stop::Node { name, failure }) => Some(self.back(&mut roll, &name, failure).await),
        };
        Ok((roll.record, failure))
    }

    /// A node did not come back: all go back to what they ran before. Why the upgrade failed, and how that ended.
    async fn back(&self, roll: &mut Roll<'_>, name: &str, failure: Failure) -> Failure {
        self.context.printer.warn(&format!("{failure}: going back to the binaries of before"));
        match roll.take_all(Direction::Back).await {
            Ok(()) => {
                let all = "all nodes of this upgrade run what they ran before";
                let rolled_back = Failure::new(ExitStatus::RolledBack, format!("{failure}; {all}"));
                failure.causes().iter().fold(rolled_back, |failure, cause| failure.cause(cause.clone())).hint(format!(
                    "`disco logs {name}` and `disco events` show more; mend the binary, then run the command again"
                ))
            }
            Err(Stop::Here(other) | Stop::Node { failure: other, .. }) => {
                let both = Failure::failed(format!("{failure}, and going back did not end"));
                let causes = failure.causes().iter().cloned().chain([other.to_string()]);
                let causes = causes.chain(other.causes().iter().cloned());
                causes.fold(both, Failure::cause).hint(format!(
                    "look at the machine with `disco node ssh {name}`: `discod.previous`, beside `discod`, is the binary of before; \
                     `disco status` shows how the cluster is"
                ))
            }
        }
    }
}
