use std::io::IsTerminal;

use disco_store::typed::{Goal, TaskState};

use crate::{
    cli::ExecArgs,
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exec,
    exit::ExitStatus,
    workload::{Catalogue, Target, Task, resolve},
};

pub(super) async fn run(args: &ExecArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let target = resolve(&args.target, &catalogue)?;
    let (task, count) = choose(&target, &args.target, &catalogue)?;
    let on_terminals = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let input = !args.no_stdin;
    let terminal = args.tty || (on_terminals && input && !args.no_tty);
    if count > 1 && terminal && on_terminals {
        let (name, id, node) = (task.name(), task.record.id, catalogue.node_name(task.record.node));
        context.printer.note(&format!("beside `{name}` (task {id}) on `{node}`"));
    }
    let exec = exec::Exec { task: task.record.id, name: task.name(), command: args.command.clone(), input, terminal };
    exec::run(&client, &exec).await
}

/// The task beside which a program runs, and among how many it was chosen.
fn choose<'a>(target: &Target, named: &str, catalogue: &'a Catalogue) -> Outcome<(&'a Task, usize)> {
    if let Target::Stack(stack) = target {
        let services: Vec<String> = catalogue
            .services
            .keys()
            .filter(|(own, _)| own == stack)
            .map(|(_, name)| format!("`{stack}/{name}`"))
            .collect();
        if services.len() > 1 {
            return Err(Failure::usage(format!("the stack `{stack}` has several services"))
                .hint(format!("name one of {}", services.join(", "))));
        }
    }
    let all: Vec<&Task> = catalogue.tasks.iter().filter(|task| target.has(&task.record)).collect();
    if all.is_empty() {
        return Err(Failure::new(ExitStatus::NotFound, format!("no task `{named}`")).hint("`disco ps` lists the tasks"));
    }
    let is_running = |task: &&&Task| {
        task.state
            .as_ref()
            .is_some_and(|state| !state.gone && matches!(state.state, TaskState::Running | TaskState::Stopping))
    };
    let running: Vec<&Task> = all.iter().filter(is_running).copied().collect();
    // Of an update, the new version.
    let best = running.iter().min_by_key(|task| {
        (!task.is_healthy(), task.record.goal != Goal::Run, std::cmp::Reverse(task.record.group), task.record.index)
    });
    match (best, all.last()) {
        (Some(task), _) => Ok((task, running.len())),
        (None, last) => {
            let why = last.map(|task| task.reason()).filter(|reason| !reason.is_empty());
            let failure = Failure::failed(format!("no task of `{named}` runs"));
            let failure = match why {
                Some(why) => failure.cause(why),
                None => failure,
            };
            Err(failure.hint(format!("`disco why {named}` says why")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workload::catalogue;

    fn shop() -> Catalogue {
        let task = |id: u64, service: &str, group: u64, index: u64| {
            json!({ "id": id, "stack": "shop", "service": service, "group": group, "index": index, "node": 1, "ports": [],
                "needs": {}, "goal": "run", "since": "" })
        };
        let state = |id: u64, state: &str, healthy: bool| json!({ "id": id, "node": 1, "state": state, "healthy": healthy, "reason": "exit code 3", "gone": state == "failed" });
        let service = |name: &str| json!({ "stack": "shop", "name": name, "copies": { "number": 2 }, "group": 1 });
        catalogue(&json!({
            "stacks": [{ "name": "shop", "deployment": 1 }],
            "services": [service("web"), service("store")],
            "tasks": [task(1, "web", 1, 1), task(2, "web", 2, 1), task(3, "web", 1, 2), task(4, "store", 1, 1)],
            "states": [state(1, "running", true), state(2, "running", true), state(3, "running", false), state(4, "failed", false)],
        }))
    }

    #[test]
    fn a_healthy_task_of_the_newest_version_is_chosen() {
        let shop = shop();
        let of = |named: &str| {
            choose(&resolve(named, &shop).unwrap(), named, &shop).map(|(task, count)| (task.record.id, count))
        };
        assert_eq!(of("web").unwrap(), (2, 3));
        assert_eq!(of("shop/web/1").unwrap(), (2, 2));
        assert_eq!(of("shop/web/2").unwrap(), (3, 1));
        assert_eq!(of("1").unwrap(), (1, 1));
        assert_eq!(of("shop").unwrap_err().status(), ExitStatus::Usage);
        let none = of("store").unwrap_err();
        assert_eq!((none.status(), none.causes()), (ExitStatus::Failed, ["exit code 3".to_owned()].as_slice()));
        assert_eq!(of("web/9").unwrap_err().status(), ExitStatus::NotFound);
    }
}
