//! `disco recover`: after a permanent loss of quorum, continues the cluster from the survivor with the most recent log.

use std::time::Duration;

use disco_proto::v1::{NodeStatus, RecoverRequest};
use disco_provider::{Machine, MachineState};
use serde_json::json;

use crate::{
    cli::RecoverArgs,
    client::{Client, OwnView, from_status},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{provider_failure, recorded_provider},
    project::ClusterRecord,
    question::confirm,
    view::Done,
};

/// Time for the survivor to restart and become leader.
const PATIENCE: Duration = Duration::from_secs(60);

/// The recovery to confirm.
#[derive(Debug)]
struct Plan<'a> {
    from: &'a OwnView,
    survivors: Vec<&'a NodeStatus>,
    lost: Vec<&'a NodeStatus>,
}

pub(super) async fn run(args: &RecoverArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let printer = &context.printer;
    let machines = machines(context).await;
    client.add_addresses(args.addresses.iter().flatten().copied());
    client.add_addresses(machines.iter().flat_map(Machine::control_addresses));
    let views = client.own_views().await?;
    if args.addresses.is_some() {
        return super::relocate::run(context, &client, &views, args.dry_run).await;
    }
    let plan = plan(&views, args.give_up)?;
    for node in &plan.lost {
        if let Some(machine) = machines.iter().find(|machine| !node.instance.is_empty() && machine.id == node.instance)
        {
            printer.warn(&format!(
                "the machine {} of {} runs, according to its provider, but its node does not answer: bring the node back first if \
                 you can",
                machine.id,
                named(node)
            ));
        }
    }
    printer.always(&format!(
        "{} of {} voters answer: no quorum",
        plan.survivors.iter().filter(|node| votes(node)).count(),
        plan.from.status.nodes.iter().filter(|node| votes(node)).count()
    ));
    printer.always(&format!(
        "continues from {}, which has the most recent log: entry {} of term {}, revision {}",
        plan.from.name(),
        plan.from.status.log_index,
        plan.from.status.log_term,
        plan.from.status.revision
    ));
    let given_up: Vec<u64> = plan.lost.iter().map(|node| node.id).collect();
    for node in &plan.lost {
        printer.always(&format!("gives up {} at {}", named(node), node.address));
    }
    printer.warn(
        "writes that reached none of the answering nodes before the others were lost are lost; a node that is given up must \
         never be started again with its old data",
    );
    if args.dry_run {
        return Done::new(json!({ "dry_run": true, "from": plan.from.status.answered_by, "given_up": given_up }))
            .show(context);
    }
    if !confirm(context, &format!("Continue from {} alone?", plan.from.name())).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was changed"));
    }
    let lost = given_up.clone();
    let mut control = plan.from.control.clone();
    control.recover(RecoverRequest { lost }).await.map_err(|status| from_status(&status))?;
    client.drop_connection();
    let task = printer.task(&plan.from.name());
    task.state("restarting");
    let status = client.with_patience(PATIENCE).settled().await?;
    task.done("leads");
    printer.note(&format!(
        "the cluster has a quorum again, at revision {}; {} more nodes rejoin automatically, `disco scale nodes=N` adds others",
        status.revision,
        plan.survivors.len().saturating_sub(1)
    ));
    Done::new(json!({ "leader": status.leader, "revision": status.revision, "given_up": given_up })).show(context)
}

fn votes(node: &NodeStatus) -> bool {
    node.role != "learner"
}

fn named(node: &NodeStatus) -> String {
    format!("node {} `{}`", node.id, node.name)
}

/// The provider's running machines: nodes may answer at addresses that the project does not know yet.
async fn machines(context: &Context) -> Vec<Machine> {
    let asked = async {
        let project = context.project()?;
        let Some(record) = ClusterRecord::load(&project.state())? else { return Ok(Vec::new()) };
        let provider = recorded_provider(&project, &record)?;
        provider.list().await.map_err(|error| provider_failure(&error))
    };
    match asked.await {
        Ok(machines) => machines.into_iter().filter(|machine| machine.state == MachineState::Running).collect(),
        Err(failure) => {
            context.printer.warn(&format!("cannot list the provider's machines: {failure}"));
            Vec::new()
        }
    }
}

/// The refusal if silent nodes may be alive at other addresses: `--addresses` keeps them.
fn apart(views: &[OwnView], quorum: bool) -> Failure {
    let failure = Failure::new(
        ExitStatus::Guarded,
        match quorum {
            true => "a quorum answers, but its nodes do not find each other",
            false => "nodes have new addresses, so the nodes that do not answer may be alive at new addresses, too",
        },
    );
    let moved = views.iter().filter_map(|view| Some((view, view.moved_from()?)));
    let failure = moved.fold(failure, |failure, (view, before)| {
        failure.cause(format!("{} is at {}, but the membership has {before}", view.name(), view.place()))
    });
    failure.hint(match quorum {
        true => "`disco recover --addresses` gives each node the others' addresses, and gives up none",
        false => {
            "`disco recover --addresses A:5080,B:5080,…` keeps all named nodes; use `--give-up` if the others are lost for good"
        }
    })
}

/// Plans the recovery, or refuses it.
fn plan(views: &[OwnView], give_up: bool) -> Outcome<Plan<'_>> {
    let answered = |id: u64| views.iter().any(|view| view.status.answered_by == id);
    let newest = |voters: bool| {
        let views = views.iter().filter(|view| !voters || view.own().is_some_and(votes));
        views.max_by_key(|view| (view.status.log_term, view.status.log_index))
    };
    let Some(from) = newest(true) else {
        return Err(Failure::new(ExitStatus::Guarded, "no voter answers, and only voters have the signing key")
            .hint("bring a voter back, or restore a backup into a new cluster"));
    };
    let (survivors, lost): (Vec<_>, Vec<_>) = from.status.nodes.iter().partition(|node| answered(node.id));
    let count = |nodes: &[&NodeStatus]| nodes.iter().filter(|node| votes(node)).count();
    let moved = views.iter().any(|view| view.moved_from().is_some());
    let quorum = count(&survivors) > count(&lost);
    // If they do find each other, the membership has the new addresses a moment later.
    if moved && (quorum || !give_up) {
        return Err(apart(views, quorum));
    }
    if quorum {
        return Err(Failure::new(ExitStatus::Guarded, "a quorum answers: no recovery is needed")
            .hint("`disco status` shows the nodes; `disco node rm NODE --force` removes a dead node"));
    }
    Ok(Plan { from, survivors, lost })
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::StatusResponse;

    use super::*;

    fn view(id: u64, log: (u64, u64), roles: &[&str]) -> OwnView {
        let nodes = roles.iter().zip(1..).map(|(role, id)| NodeStatus {
            id,
            role: (*role).to_owned(),
            ..NodeStatus::default()
        });
        let nodes = nodes.collect();
        let (log_term, log_index) = log;
        let status = StatusResponse { answered_by: id, log_term, log_index, nodes, ..StatusResponse::default() };
        OwnView::new(status)
    }

    #[tokio::test]
    async fn recovery_continues_from_the_voter_with_the_newest_log_and_gives_up_silent_nodes() {
        let five = ["voter"; 5];
        let views = [view(2, (3, 70), &five), view(4, (4, 60), &five)];
        let plan = plan(&views, false).unwrap();
        assert_eq!(plan.from.status.answered_by, 4);
        assert_eq!(plan.lost.iter().map(|node| node.id).collect::<Vec<_>>(), [1, 3, 5]);
        let learner = ["voter", "voter", "voter", "learner"];
        let views = [view(4, (9, 9), &learner), view(1, (1, 1), &learner)];
        assert_eq!(super::plan(&views, false).unwrap().from.status.answered_by, 1);
    }

    #[tokio::test]
    async fn recovery_is_refused_with_a_quorum_or_without_a_voter() {
        let three = ["leader", "voter", "voter"];
        let views = [view(1, (1, 5), &three), view(3, (1, 5), &three)];
        assert_eq!(plan(&views, false).unwrap_err().status(), ExitStatus::Guarded);
        let views = [view(2, (1, 5), &["voter", "learner"])];
        assert_eq!(plan(&views, false).unwrap_err().status(), ExitStatus::Guarded);
    }

    #[tokio::test]
    async fn nodes_that_may_be_alive_at_new_addresses_are_not_given_up() {
        let three = ["voter"; 3];
        let moved = |id: u64| {
            let mut view = view(id, (1, 5), &three);
            view.status.own_address = format!("10.1.0.{id}:5080");
            view.status.nodes.iter_mut().for_each(|node| node.address = format!("10.0.0.{}:5080", node.id));
            view
        };
        let all = [moved(1), moved(2), moved(3)];
        let refused = plan(&all, false).unwrap_err();
        assert!(refused.message().contains("do not find each other"), "{refused}");
        assert!(plan(&all, true).is_err(), "a quorum is never given up");
        let one = [moved(1)];
        let refused = plan(&one, false).unwrap_err();
        assert_eq!(refused.status(), ExitStatus::Guarded);
        assert!(refused.next_step().is_some_and(|next| next.contains("--addresses")), "{refused}");
        assert_eq!(plan(&one, true).unwrap().lost.len(), 2);
    }
}
