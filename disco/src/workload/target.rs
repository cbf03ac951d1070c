//! What a TARGET on the command line means: `STACK`, `STACK/SERVICE`, `STACK/SERVICE/N`, a task's id. The stack's name may be left out
//! where it is clear.

use disco_store::typed::TaskRecord;

use super::Catalogue;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Tasks that a TARGET names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    Stack(String),
    Service(String, String),
    /// Copies of a service with this number: two during an update.
    Copy(String, String, u64),
    Task(u64),
}

impl Target {
    pub(crate) fn has(&self, task: &TaskRecord) -> bool {
        match self {
            Self::Stack(stack) => task.stack == *stack,
            Self::Service(stack, service) => task.stack == *stack && task.service == *service,
            Self::Copy(stack, service, index) => {
                task.stack == *stack && task.service == *service && task.index == *index
            }
            Self::Task(id) => task.id == *id,
        }
    }

    /// The stack and, unless all of them are meant, the service.
    pub(crate) fn services(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::Stack(stack) => Some((stack, None)),
            Self::Service(stack, service) => Some((stack, Some(service))),
            Self::Copy(..) | Self::Task(_) => None,
        }
    }
}

/// What a name means. A stack goes before a service of the same name.
pub(crate) fn resolve(named: &str, catalogue: &Catalogue) -> Outcome<Target> {
    let parts: Vec<&str> = named.split('/').collect();
    let exists = |stack: &str, service: &str| catalogue.services.contains_key(&(stack.to_owned(), service.to_owned()));
    let found = match parts.as_slice() {
        [id] if id.parse::<u64>().is_ok_and(|id| catalogue.tasks.iter().any(|task| task.record.id == id)) => {
            id.parse().ok().map(Target::Task)
        }
        [stack] if catalogue.stacks.contains_key(*stack) => Some(Target::Stack((*stack).to_owned())),
        [service] => alone(service, catalogue)?.map(|stack| Target::Service(stack, (*service).to_owned())),
        [stack, service] if exists(stack, service) => Some(Target::Service((*stack).to_owned(), (*service).to_owned())),
        [service, index] => match (alone(service, catalogue)?, index.parse()) {
            (Some(stack), Ok(index)) => Some(Target::Copy(stack, (*service).to_owned(), index)),
            _ => None,
        },
        [stack, service, index] if exists(stack, service) => {
            index.parse().ok().map(|index| Target::Copy((*stack).to_owned(), (*service).to_owned(), index))
        }
        _ => None,
    };
    found.ok_or_else(|| unknown(named, catalogue))
}

/// The stack and the name of a service.
pub(crate) fn service(named: &str, catalogue: &Catalogue) -> Outcome<(String, String)> {
    let known = match named.split_once('/') {
        Some((stack, service)) => {
            let key = (stack.to_owned(), service.to_owned());
            catalogue.services.contains_key(&key).then_some(key)
        }
        None => alone(named, catalogue)?.map(|stack| (stack, named.to_owned())),
    };
    known.ok_or_else(|| unknown(named, catalogue))
}

/// The stack of this name; without a name the only one.
pub(crate) fn stack(named: Option<&str>, catalogue: &Catalogue) -> Outcome<String> {
    match named {
        Some(name) if catalogue.stacks.contains_key(name) => Ok(name.to_owned()),
        Some(name) => Err(Failure::new(ExitStatus::NotFound, format!("no stack `{name}`")).hint(stacks(catalogue))),
        None => match catalogue.stacks.keys().collect::<Vec<_>>().as_slice() {
            [only] => Ok((*only).clone()),
            [] => {
                Err(Failure::new(ExitStatus::NotFound, "the cluster has no stack").hint("`disco deploy` deploys one"))
            }
            _ => Err(Failure::usage("the cluster has several stacks").hint(stacks(catalogue))),
        },
    }
}

/// The stack of a service whose stack was not named.
fn alone(service: &str, catalogue: &Catalogue) -> Outcome<Option<String>> {
    let found: Vec<&String> =
        catalogue.services.keys().filter(|(_, name)| name == service).map(|(stack, _)| stack).collect();
    match found.as_slice() {
        [] => Ok(None),
        [stack] => Ok(Some((*stack).clone())),
        several => {
            let names: Vec<String> = several.iter().map(|stack| format!("`{stack}/{service}`")).collect();
            Err(Failure::usage(format!("several stacks have a service `{service}`"))
                .hint(format!("name one of {}", names.join(", "))))
        }
    }
}

fn unknown(named: &str, catalogue: &Catalogue) -> Failure {
    let failure = Failure::new(ExitStatus::NotFound, format!("no stack, service or task `{named}`"));
    let services: Vec<String> =
        catalogue.services.keys().map(|(stack, service)| format!("`{stack}/{service}`")).collect();
    match services.as_slice() {
        [] => failure.hint("the cluster has no services: `disco deploy` deploys some"),
        some => failure.hint(format!("the services are {}; `disco ps` lists the tasks", some.join(", "))),
    }
}

fn stacks(catalogue: &Catalogue) -> String {
    match catalogue.stacks.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().as_slice() {
        [] => "the cluster has no stacks: `disco deploy` deploys one".to_owned(),
        some => format!("the stacks are {}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::catalogue::tests::catalogue, *};

    fn known() -> Catalogue {
        let service =
            |stack: &str, name: &str| json!({ "stack": stack, "name": name, "copies": { "number": 1 }, "group": 1 });
        catalogue(&json!({
            "stacks": [{ "name": "shop", "deployment": 1 }, { "name": "blog", "deployment": 2 }],
            "services": [service("shop", "web"), service("shop", "store"), service("blog", "web"), service("blog", "shop")],
            "tasks": [{ "id": 1001, "stack": "shop", "service": "web", "group": 1, "index": 2, "node": 1, "ports": [],
                "needs": {}, "goal": "run", "since": "" }],
        }))
    }

    #[test]
    fn a_target_is_found_by_each_of_its_names() {
        let known = known();
        let of = |named: &str| resolve(named, &known).unwrap();
        assert_eq!(of("shop"), Target::Stack("shop".to_owned()));
        assert_eq!(of("shop/web"), Target::Service("shop".to_owned(), "web".to_owned()));
        assert_eq!(of("store"), Target::Service("shop".to_owned(), "store".to_owned()));
        assert_eq!(of("store/2"), Target::Copy("shop".to_owned(), "store".to_owned(), 2));
        assert_eq!(of("shop/web/2"), Target::Copy("shop".to_owned(), "web".to_owned(), 2));
        assert_eq!(of("1001"), Target::Task(1001));
        assert!(of("shop/web/2").has(&known.tasks[0].record) && !of("shop/web/1").has(&known.tasks[0].record));
    }

    #[test]
    fn a_name_without_a_stack_must_be_clear() {
        let known = known();
        let failure = resolve("web", &known).unwrap_err();
        assert_eq!(failure.status(), ExitStatus::Usage);
        assert!(failure.next_step().is_some_and(|hint| hint.contains("`blog/web`, `shop/web`")), "{failure:?}");
        for unknown in ["gone", "shop/gone", "shop/web/x", "7", "a/b/c/d"] {
            assert_eq!(resolve(unknown, &known).unwrap_err().status(), ExitStatus::NotFound, "{unknown}");
        }
        assert_eq!(stack(None, &known).unwrap_err().status(), ExitStatus::Usage);
        assert_eq!(service("shop/web", &known).unwrap(), ("shop".to_owned(), "web".to_owned()));
    }
}
