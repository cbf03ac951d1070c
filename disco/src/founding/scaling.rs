//! `cluster.scale(n)` of `client.js`.
//!
//! In a bootstrap it says how many nodes there are at least: a bootstrap repairs, so it adds and takes nothing away unasked
//! ([`wish`]). In a function that the operator calls by name it is what `disco scale` is.

use disco_planner::wish::{self, Wish};
use disco_proto::v1::{ScaleRequest, StatusResponse};
use disco_provider::plan::{Action, Change, MACHINE};

use super::{Founder, Purpose, foresee, planning::Planning, renew_signing_key};
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
        if nodes == 0 {
            return Err(Failure::usage("`scale` needs at least one node; `destroy` ends a cluster"));
        }
        if let Some(planning) = &self.planning {
            return self.plan_scale(planning, nodes).await;
        }
        let client = self.existing()?;
        self.prepare_hosts(&client).await?;
        self.push(&client).await?;
        let request = match self.purpose {
            Purpose::Work => ScaleRequest { nodes, ..ScaleRequest::default() },
            Purpose::Bootstrap | Purpose::Plan => self.wish(&client, nodes).await?,
        };
        let printer = &self.context.printer;
        client.follow(printer, |mut control| async move { control.scale(request).await }).await?;
        renew_signing_key(&client, &self.context).await
    }

    /// What a bootstrap asks of the cluster.
    async fn wish(&self, client: &Client, nodes: u32) -> Outcome<ScaleRequest> {
        let status = client.settled().await?;
        let expected = wished(&status);
        let request = ScaleRequest { nodes, script_nodes: Some(nodes), expected, ..ScaleRequest::default() };
        match wish::of_script(nodes, expected, status.script_nodes) {
            Wish::Take(nodes) => Ok(ScaleRequest { nodes, ..request }),
            Wish::Keep(wished) => {
                self.context.printer.note(&kept(wished, nodes));
                Ok(ScaleRequest { nodes: wished, ..request })
            }
            Wish::Confirm { from, to } => {
                let foreseen = foresee(client, Some(to)).await?;
                let ended: Vec<String> = foreseen
                    .changes
                    .as_slice()
                    .iter()
                    .filter(|change| change.action == Action::Delete)
                    .map(|change| format!("`{}`", change.name))
                    .collect();
                let ended = if ended.is_empty() { "what is too much".to_owned() } else { ended.join(", ") };
                let question = format!("`client.js` asks for {to} nodes now, and the cluster has {from}: end {ended}?");
                if question::confirm(&self.context, &question).await? {
                    return Ok(request);
                }
                Err(Failure::new(ExitStatus::Cancelled, format!("the cluster keeps its {from} nodes")))
            }
        }
    }

    /// The same, with nothing done for it.
    pub(super) async fn plan_asked(&self, planning: &Planning, client: &Client, nodes: u32) -> Outcome<()> {
        let status = client.settled().await?;
        match wish::of_script(nodes, wished(&status), status.script_nodes) {
            Wish::Take(nodes) => planning.take(foresee(client, Some(nodes)).await?),
            Wish::Keep(wished) => {
                planning.take(foresee(client, None).await?);
                planning.warn(kept(wished, nodes));
            }
            Wish::Confirm { from, to } => {
                planning.take(foresee(client, Some(to)).await?);
                planning.warn(asks(from, to));
            }
        }
        Ok(())
    }

    /// The same where the cluster does not answer, by what was seen last.
    pub(super) fn plan_unanswered(&self, planning: &Planning, nodes: u32) -> Outcome<()> {
        let seen = Addresses::load(&self.state())?;
        match wish::of_script(nodes, seen.target, seen.script_nodes) {
            // Nothing is known of how many there are.
            Wish::Take(_) if seen.target.is_none() => {}
            Wish::Take(nodes) => {
                let more = nodes.saturating_sub(seen.target.unwrap_or(nodes));
                if more > 0 {
                    let details = format!("{more} more than when the cluster was seen last");
                    let change = Change::free(Action::Create, MACHINE, format!("{more} more"), details);
                    planning.recorder.add(Change { monthly: None, ..change });
                }
            }
            Wish::Keep(wished) => planning.warn(kept(wished, nodes)),
            Wish::Confirm { from, to } => {
                for node in seen.youngest((from - to) as usize) {
                    let details = "is one too many, as far as it was seen last".to_owned();
                    let change = Change::free(Action::Delete, MACHINE, &node.name, details);
                    planning.recorder.add(Change { monthly: None, ..change });
                }
                planning.warn(asks(from, to));
            }
        }
        Ok(())
    }
}

/// How many nodes there shall be, where somebody has said it.
fn wished(status: &StatusResponse) -> Option<u32> {
    (status.desired_nodes != 0).then_some(status.desired_nodes)
}

fn kept(wished: u32, asked: u32) -> String {
    format!(
        "the cluster is to have {wished} nodes, as was set since, and keeps them: `client.js` asks for {asked}; `disco scale \
         nodes={asked}` makes it fewer"
    )
}

fn asks(from: u32, to: u32) -> String {
    format!(
        "`client.js` asks for {to} nodes now, and the cluster has {from}: `disco bootstrap` asks before it ends any"
    )
}
