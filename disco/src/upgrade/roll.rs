use std::time::Duration;

use disco_planner::upgrade::{Direction, Refusal, Step, next};
use disco_proto::v1::{MoveLeaderRequest, NodeStatus, upgrade_step::Kind};
use disco_provider::install::InstallError;
use tokio::time::Instant;

use super::{Action, Record, Upgrade, claim::Claim, nodes::Nodes};
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::install_failure,
};

/// Time for nodes that are not being restarted to become healthy: right after an election, the leader has not heard from all.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// Time for leadership to move.
const MOVED_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(100);
/// Maximum number of steps per node: its restart, and leadership that moves more often than expected.
const STEPS: usize = 5;

/// Why the upgrade stops.
pub(super) enum Stop {
    /// A node did not come back.
    Node {
        /// Its name.
        name: String,
        failure: Failure,
    },
    /// Any other failure, which leaves no node down.
    Here(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

/// A running upgrade.
pub(super) struct Roll<'a> {
    upgrade: &'a Upgrade,
    /// `None` in a dry run.
    claim: Option<&'a Claim>,
    pub(super) nodes: Nodes<'a>,
    pub(super) record: Record,
    /// A restart was reported to the cluster.
    began: bool,
}

impl<'a> Roll<'a> {
    pub(super) fn new(upgrade: &'a Upgrade, claim: Option<&'a Claim>) -> Self {
        Self { upgrade, claim, nodes: Nodes::new(upgrade), record: Record::new(&upgrade.binaries), began: false }
    }

    /// Whether a node was restarted, or was to be.
    pub(super) fn began(&self) -> bool {
        self.began
    }

    /// Executes the planner's steps until it has no more.
    pub(super) async fn take_all(&mut self, direction: Direction) -> Result<(), Stop> {
        let mut steps = 0;
        loop {
            let nodes = self.wait_until_ready(direction == Direction::Forward).await?;
            if steps > nodes.len() * STEPS {
                let failure =
                    Failure::failed(format!("the upgrade is not done after {steps} steps: the cluster keeps changing"));
                return Err(failure
                    .hint("wait until `disco status` no longer changes, then run the command again")
                    .into());
            }
            steps += 1;
            let of = |id: u64| {
                let node = nodes.iter().find(|node| node.id == id).cloned();
                node.ok_or_else(|| Stop::Here(Failure::failed(format!("node {id} is no longer a member"))))
            };
            if let Some(claim) = self.claim {
                claim.check().await?;
            }
            match next(&self.nodes.planned(&nodes), direction).map_err(|refusal| refused(&refusal, &nodes))? {
                Step::Finish => {
                    self.record.begin(&nodes, &self.nodes);
                    return Ok(self.finish(&nodes).await?);
                }
                Step::HandOver { from, to } => self.hand_over(&of(from)?, &of(to)?).await?,
                Step::Await(id) => self.bring_back(&of(id)?, direction, false).await?,
                Step::Replace(id) => self.bring_back(&of(id)?, direction, true).await?,
            }
        }
    }

    /// Waits until all nodes that are not being restarted are healthy, at most for [`READY_WITHIN`], and returns the nodes. Inspects new
    /// nodes, and uploads the binaries that they lack if `send` is set.
    pub(super) async fn wait_until_ready(&mut self, send: bool) -> Outcome<Vec<NodeStatus>> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let nodes = self.upgrade.client.settled().await?.nodes;
            self.nodes.inspect(&nodes).await?;
            self.record.begin(&nodes, &self.nodes);
            let planned = self.nodes.planned(&nodes);
            let ready = planned.iter().all(|node| node.healthy || node.unfinished);
            if ready || planned.iter().all(|node| node.new) || Instant::now() >= deadline {
                // Upload nothing if no node may be restarted.
                if send && next(&planned, Direction::Forward).is_ok() {
                    self.nodes.send(&nodes).await?;
                }
                return Ok(nodes);
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Restarts a node with the other binary, or only waits for a node that was already restarted.
    async fn bring_back(&mut self, node: &NodeStatus, direction: Direction, restart: bool) -> Result<(), Stop> {
        let started = Instant::now();
        if !self.began {
            self.began = true;
            self.report(Kind::Started, 0).await;
        }
        let brought = self.try_to_bring_back(node, direction, restart).await;
        let (action, result) = match (brought, direction) {
            (Ok(version), Direction::Forward) => (Action::Replaced, Ok(version)),
            (Ok(version), Direction::Back) => (Action::RolledBack, Ok(version)),
            (Err(failure), _) => (Action::Failed, Err(failure)),
        };
        let version = result.as_ref().ok().map(String::as_str);
        self.record.done(node.id, action, started.elapsed(), version);
        match action {
            Action::Replaced => self.report(Kind::Replaced, node.id).await,
            Action::RolledBack => self.report(Kind::Returned, node.id).await,
            Action::Unchanged | Action::Failed => {}
        }
        result.map(|_| ()).map_err(|failure| Stop::Node { name: node.name.clone(), failure })
    }

    /// Reports a step to the cluster; a dry run has no claim and reports nothing.
    async fn report(&self, kind: Kind, node: u64) {
        if let Some(claim) = self.claim {
            claim.report(kind, node, "").await;
        }
    }

    /// Returns the version that the node reports.
    async fn try_to_bring_back(&mut self, node: &NodeStatus, direction: Direction, restart: bool) -> Outcome<String> {
        let failed = |error: InstallError| install_failure(&node.name, &error);
        let task = self.upgrade.context.printer.task(&node.name);
        task.state("connecting");
        let remote = self.nodes.connect(node).await?;
        let known = self.nodes.found(node.id).cloned();
        let mut found = match (direction, known) {
            (Direction::Forward, Some(known)) => known,
            // The failed step may have changed it.
            _ => remote.installation().await.map_err(failed)?,
        };
        if direction == Direction::Back && !found.unfinished {
            // It failed before its binary was replaced.
            self.nodes.set(node.id, found);
            task.done("unchanged");
            return Ok(node.version.clone());
        }
        let wanted = match direction {
            Direction::Forward => self.upgrade.binaries.discod.sha256().to_owned(),
            Direction::Back => found.previous().unwrap_or_default().to_owned(),
        };
        // From here on, a rollback includes this node.
        found.unfinished = direction == Direction::Forward;
        self.nodes.set(node.id, found);
        let (doing, done) = match direction {
            Direction::Forward => ("restarting with the new binary", "runs the new binary"),
            Direction::Back => ("restarting with the previous binary", "runs the previous binary again"),
        };
        let upgrade = self.upgrade;
        let result = async {
            if restart {
                task.state(doing);
                match direction {
                    Direction::Forward => remote.switch().await.map_err(failed)?,
                    Direction::Back => remote.switch_back().await.map_err(failed)?,
                }
            }
            upgrade.wait_until_running(node, &remote, &wanted, &task).await
        };
        match result.await {
            Ok(now) => {
                self.nodes.set(node.id, remote.installation().await.map_err(failed)?);
                task.done(done);
                Ok(now.version)
            }
            Err(failure) => {
                task.failed("did not come back");
                Err(failure)
            }
        }
    }

    async fn hand_over(&self, from: &NodeStatus, to: &NodeStatus) -> Outcome<()> {
        let task = self.upgrade.context.printer.task(&from.name);
        task.state(&format!("handing leadership over to {}", to.name));
        let request = MoveLeaderRequest { to: to.id };
        let client = self.upgrade.client.with_patience(MOVED_WITHIN);
        client.call_within(MOVED_WITHIN, |mut control| async move { control.move_leader(request).await }).await?;
        let deadline = Instant::now() + MOVED_WITHIN;
        loop {
            let leader = client.settled().await?.leader;
            if leader != from.id {
                task.done("is no longer the leader");
                return Ok(());
            }
            if Instant::now() >= deadline {
                task.failed("is still the leader");
                return Err(Failure::failed(format!(
                    "`{}` did not hand leadership over to `{}` within {MOVED_WITHIN:?}",
                    from.name, to.name
                ))
                .hint("run the command again: it continues where it stopped"));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Removes the marks of an unfinished upgrade.
    async fn finish(&mut self, nodes: &[NodeStatus]) -> Outcome<()> {
        for id in self.nodes.with_leftovers() {
            let Some(node) = nodes.iter().find(|node| node.id == id) else { continue };
            let remote = self.nodes.connect(node).await?;
            remote.end_upgrade().await.map_err(|error| install_failure(&node.name, &error))?;
        }
        Ok(())
    }
}

/// The planner's refusal as a failure with the operator's next step.
pub(super) fn refused(refusal: &Refusal, nodes: &[NodeStatus]) -> Failure {
    let failure = Failure::new(ExitStatus::Guarded, refusal.to_string());
    match refusal {
        Refusal::Sick { nodes: sick } => {
            let sick = nodes.iter().filter(|node| sick.contains(&node.id));
            let failure = sick.fold(failure, |failure, node| {
                let why = match (node.healthy, node.draining) {
                    (false, _) => node.reason.clone(),
                    (true, true) => "it is stopping".to_owned(),
                    (true, false) => super::nodes::lag(node, nodes).unwrap_or_default(),
                };
                failure.cause(format!("`{}`: {why}", node.name))
            });
            failure.hint(
                "repair these nodes (`disco bootstrap`) or remove them (`disco node rm NODE --force`), then run the command again",
            )
        }
        Refusal::TwoVoters => failure.hint("run `disco scale nodes=3` first, or wait until one of them is a learner"),
    }
}
