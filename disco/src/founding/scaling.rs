//! `cluster.scale(n)` of `client.js`.
//!
//! In a bootstrap, `n` is the minimum number of nodes: a bootstrap repairs, so it adds nodes, and removes none without a confirmation
//! ([`Founder::bootstrap_request`]). In a function that the operator calls by name, it works like `disco scale`.

use disco_planner::wish::{self, Wish};
use disco_proto::v1::{ScaleRequest, StatusResponse};
use disco_provider::plan::{Action, Change, MACHINE};

use super::{Founder, Purpose, cluster_plan, planning::Planning, renew_signing_key};
use crate::{
    client::Client,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::Addresses,
    question,
};

impl Founder {
    /// Sets the number of nodes and waits until the cluster has them.
    pub(crate) async fn scale(&self, nodes: u32) -> Outcome<()> {
        check_size(nodes)?;
        let client = self.existing()?;
        self.prepare_hosts(&client).await?;
        self.push(&client).await?;
        let request = match self.purpose {
            Purpose::Work => ScaleRequest { nodes, ..ScaleRequest::default() },
            Purpose::Bootstrap | Purpose::Plan => self.bootstrap_request(&client, nodes).await?,
        };
        let printer = &self.context.printer;
        client.follow(printer, |mut control| async move { control.scale(request).await }).await?;
        renew_signing_key(&client, &self.context).await
    }

    /// The scale request of a bootstrap.
    async fn bootstrap_request(&self, client: &Client, nodes: u32) -> Outcome<ScaleRequest> {
        let status = client.settled().await?;
        let expected = target_size(&status);
        let request = ScaleRequest { nodes, script_nodes: Some(nodes), expected, ..ScaleRequest::default() };
        match wish::of_script(nodes, expected, status.script_nodes) {
            Wish::Take(nodes) => Ok(ScaleRequest { nodes, ..request }),
            Wish::Keep(target) => {
                self.context.printer.note(&keeps_target(target, nodes));
                Ok(ScaleRequest { nodes: target, ..request })
            }
            Wish::Confirm { from, to } => {
                let plan = cluster_plan(client, Some(to)).await?;
                let ended: Vec<String> = plan
                    .changes
                    .as_slice()
                    .iter()
                    .filter(|change| change.action == Action::Delete)
                    .map(|change| format!("`{}`", change.name))
                    .collect();
                let ended = if ended.is_empty() { format!("{} nodes", from - to) } else { ended.join(", ") };
                let question =
                    format!("`client.js` asks for {to} nodes now, and the cluster has {from}: remove {ended}?");
                if question::confirm(&self.context, &question).await? {
                    return Ok(request);
                }
                Err(Failure::new(ExitStatus::Cancelled, format!("the cluster keeps its {from} nodes")))
            }
        }
    }
}

impl Planning {
    /// Plans the scale request of a bootstrap.
    pub(super) async fn scale_asked(&self, client: &Client, nodes: u32) -> Outcome<()> {
        let status = client.settled().await?;
        match wish::of_script(nodes, target_size(&status), status.script_nodes) {
            Wish::Take(nodes) => self.take(cluster_plan(client, Some(nodes)).await?),
            Wish::Keep(target) => {
                self.take(cluster_plan(client, None).await?);
                self.warn(keeps_target(target, nodes));
            }
            Wish::Confirm { from, to } => {
                self.take(cluster_plan(client, Some(to)).await?);
                self.warn(asks(from, to));
            }
        }
        Ok(())
    }

    /// Plans the scale request from the last known state, for a cluster that does not answer.
    pub(super) fn scale_unanswered(&self, nodes: u32) -> Outcome<()> {
        let seen = Addresses::load(&self.founder().state())?;
        match wish::of_script(nodes, seen.target, seen.script_nodes) {
            // The target size is unknown.
            Wish::Take(_) if seen.target.is_none() => {}
            Wish::Take(nodes) => {
                let more = nodes.saturating_sub(seen.target.unwrap_or(nodes));
                if more > 0 {
                    let details = format!("{more} more than the last known target size");
                    let change = Change::free(Action::Create, MACHINE, format!("{more} more"), details);
                    self.recorder.add(Change { monthly: None, ..change });
                }
            }
            Wish::Keep(target) => self.warn(keeps_target(target, nodes)),
            Wish::Confirm { from, to } => {
                for node in seen.youngest((from - to) as usize) {
                    let details = "exceeds the target size, according to the last known state".to_owned();
                    let change = Change::free(Action::Delete, MACHINE, &node.name, details);
                    self.recorder.add(Change { monthly: None, ..change });
                }
                self.warn(asks(from, to));
            }
        }
        Ok(())
    }
}

/// Refuses a number of nodes that no cluster has.
pub(super) fn check_size(nodes: u32) -> Outcome<()> {
    if nodes == 0 {
        return Err(Failure::usage("invalid number of nodes 0: expected at least 1; `destroy` removes the cluster"));
    }
    Ok(())
}

/// The cluster's target size, if it is set.
fn target_size(status: &StatusResponse) -> Option<u32> {
    (status.desired_nodes != 0).then_some(status.desired_nodes)
}

fn keeps_target(target: u32, requested: u32) -> String {
    format!(
        "the cluster keeps its target size of {target} nodes, which was set later: `client.js` asks for {requested}; `disco scale \
         nodes={requested}` removes nodes"
    )
}

fn asks(from: u32, to: u32) -> String {
    format!(
        "`client.js` asks for {to} nodes now, and the cluster has {from}: `disco bootstrap` asks before it removes any"
    )
}
