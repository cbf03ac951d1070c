//! Rolling upgrade: new binaries for all nodes of a cluster, one node after the other, driven over SSH from the operator's machine.
//!
//! ```text
//! inspect all nodes ──> upload where missing ──> restart node by node ──────────────> end
//!                         (nothing runs it yet)     └─ a node does not come back ──> roll back node by node
//! ```
//! [`disco_planner::upgrade`] decides which node is next and whether a node may be restarted at all; this module inspects the nodes
//! and executes the steps.
//!
//! Invariants:
//! - A binary that cannot run is found before the first restart: it is verified, and started once, on every machine.
//! - The state of an unfinished upgrade is stored on the machines, so the next run of the command can continue it.
//! - The upgrade claim admits one operator at a time; a binary that cannot read the cluster's data is refused first of all.
//! - A node is restarted only while all others are healthy, and only the restarted node can cause a rollback.

mod claim;
mod format;
mod nodes;
mod record;
mod roll;
mod wait;

use std::time::Duration;

use disco_planner::upgrade::{Direction, Step, next};
use disco_proto::v1::upgrade_step::Kind;
use disco_provider::install::Binaries;

use self::claim::Claim;
pub(crate) use self::record::{Action, NodeOutcome, Record};
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

/// The context of every step.
pub(crate) struct Upgrade {
    context: Context,
    client: Client,
    machines: Machines,
    binaries: Binaries,
    /// Time for one node to come back.
    node_limit: Duration,
    /// Take the upgrade claim away from its holder.
    take_over: bool,
    /// The project's lock: one command at a time changes the cluster from this project.
    _lock: Option<Lock>,
}

impl Upgrade {
    pub(crate) async fn open(args: &UpgradeArgs, context: &Context) -> Outcome<Self> {
        let (project, client) = (context.project()?, Client::open(context)?);
        let lock = if args.dry_run { None } else { Some(Lock::take(&project.state(), "upgrade")?) };
        Ok(Self {
            context: context.clone(),
            client,
            machines: Machines::open(context).await?,
            binaries: find_binaries(project.root()).await?,
            node_limit: args.node_timeout.unsigned_abs(),
            take_over: args.take_over,
            _lock: lock,
        })
    }

    /// Simulates the upgrade.
    pub(crate) async fn dry_run(&self) -> Outcome<Record> {
        self.check_format().await?;
        let mut roll = Roll::new(self, None);
        let nodes = roll.wait_until_ready(false).await?;
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

    /// Runs the upgrade. Returns what was done, and the failure if there was one.
    pub(crate) async fn run(&self) -> Outcome<(Record, Option<Failure>)> {
        self.check_format().await?;
        let claim =
            Claim::take(&self.client, self.context.project()?.state(), self.binaries.discod.sha256(), self.take_over)
                .await?;
        let result = self.roll(&claim).await;
        // On success and on failure, this command does nothing more.
        claim.release().await;
        result
    }

    async fn roll(&self, claim: &Claim) -> Outcome<(Record, Option<Failure>)> {
        let mut roll = Roll::new(self, Some(claim));
        let ended = roll.take_all(Direction::Forward).await;
        let began = roll.began();
        let (kind, failure) = match ended {
            Ok(()) => (Kind::Finished, None),
            Err(Stop::Here(failure)) => (Kind::Failed, Some(failure)),
            Err(Stop::Node { name, failure }) => {
                let failure = self.back(&mut roll, &name, failure).await;
                let kind = if failure.status() == ExitStatus::RolledBack { Kind::RolledBack } else { Kind::Failed };
                (kind, Some(failure))
            }
        };
        if began {
            claim.report(kind, 0, failure.as_ref().map_or("", Failure::message)).await;
        }
        match failure {
            // Nothing was done: the failure is the whole result.
            Some(failure) if !roll.record.changed() => Err(failure),
            failure => Ok((roll.record, failure)),
        }
    }

    /// Rolls all nodes back after one did not come back. Returns the failure with the outcome of the rollback.
    async fn back(&self, roll: &mut Roll<'_>, name: &str, failure: Failure) -> Failure {
        self.context.printer.warn(&format!("{failure}: rolling back to the previous binaries"));
        match roll.take_all(Direction::Back).await {
            Ok(()) => {
                let all = "all nodes of this upgrade run the previous binary again";
                let rolled_back = Failure::new(ExitStatus::RolledBack, format!("{failure}; {all}"));
                failure.causes().iter().fold(rolled_back, |failure, cause| failure.cause(cause.clone())).hint(format!(
                    "`disco logs {name}` and `disco events` show details; fix the binary, then run the command again"
                ))
            }
            Err(Stop::Here(other) | Stop::Node { failure: other, .. }) => {
                let both = Failure::failed(format!("{failure}, and the rollback failed"));
                let causes = failure.causes().iter().cloned().chain([other.to_string()]);
                let causes = causes.chain(other.causes().iter().cloned());
                causes.fold(both, Failure::cause).hint(format!(
                    "log in with `disco node ssh {name}`: `discod.previous`, next to `discod`, is the previous binary; \
                     `disco status` shows the cluster's state"
                ))
            }
        }
    }
}
