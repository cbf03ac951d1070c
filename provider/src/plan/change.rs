//! Planned changes, as data.

use std::fmt;

use crate::{Machine, MachineState, StartRequest, Usd};

/// The kind of a planned change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It does not exist and would be created.
    Create,
    /// It exists and would be changed.
    Change,
    /// It would be deleted.
    Delete,
    /// It would be run, with an unknown outcome.
    Run,
}

impl Action {
    /// The word used in JSON and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Run => "run",
        }
    }

    /// Parses that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Create, Self::Change, Self::Delete, Self::Run].into_iter().find(|action| action.as_str() == word)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A planned change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The action.
    pub action: Action,
    /// The kind of object: `machine`, `security group`, `node`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Details, as text.
    pub details: String,
    /// Its cost per month, negative for a deletion; `None`: unknown.
    pub monthly: Option<Usd>,
}

impl Change {
    /// A change without cost.
    #[must_use]
    pub fn free(action: Action, kind: &str, name: impl Into<String>, details: impl Into<String>) -> Self {
        let (kind, name, details) = (kind.to_owned(), name.into(), details.into());
        Self { action, kind, name, details, monthly: Some(Usd::ZERO) }
    }

    /// A new machine, with its price per hour if known.
    #[must_use]
    pub fn machine(name: impl Into<String>, details: impl Into<String>, hourly: Option<Usd>) -> Self {
        let monthly = hourly.map(Usd::per_month);
        Self { monthly, ..Self::free(Action::Create, MACHINE, name, details) }
    }

    /// The change by a start to a machine that was started with the same token before; `None`: nothing, as it runs.
    #[must_use]
    pub fn of_existing(machine: &Machine) -> Option<Self> {
        let started = || Self::free(Action::Change, MACHINE, &machine.name, format!("{} is started again", machine.id));
        (machine.state == MachineState::Stopped).then(started)
    }
}

/// The kind of a machine's change.
pub const MACHINE: &str = "machine";
/// The kind of a command that a script would run, by `$` or on a node.
pub const COMMAND: &str = "command";
/// The kind of a file that a script would copy to a node.
pub const FILE: &str = "file";

/// The requested machine, if it exists: it carries the token, or is known to have been handed out for it.
#[must_use]
pub fn existing<'a>(machines: &'a [Machine], request: &StartRequest) -> Option<&'a Machine> {
    let there = |one: &&Machine| !matches!(one.state, MachineState::Terminated | MachineState::Gone);
    let own = |one: &&Machine| one.token == request.token || request.known.get(&one.id) == Some(&request.token);
    machines.iter().filter(there).find(own)
}

/// All planned changes, each once, in the order of their first addition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Adds a change. Adding the same object again updates the change; a command or a file on another node is another change.
    pub fn add(&mut self, change: Change) {
        let placed = [COMMAND, FILE].contains(&change.kind.as_str());
        let same = |known: &Change| {
            known.kind == change.kind && known.name == change.name && (!placed || known.details == change.details)
        };
        match self.0.iter_mut().find(|known| same(known)) {
            // A deletion followed by a creation stays two changes.
            Some(known) if known.action == change.action => *known = change,
            _ => self.0.push(change),
        }
    }

    /// Adds several.
    pub fn extend(&mut self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| self.add(change));
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Change] {
        &self.0
    }

    /// Whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many changes have this action.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.0.iter().filter(|change| change.action == action).count()
    }

    /// The known cost per month of all changes.
    #[must_use]
    pub fn monthly(&self) -> Usd {
        self.0.iter().filter_map(|change| change.monthly).sum()
    }

    /// How many changes have an unknown price.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.0.iter().filter(|change| change.monthly.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_changed_once() {
        let mut changes = Changes::default();
        changes.add(Change::free(Action::Create, "key pair", "disco-web", ""));
        changes.add(Change::machine("web-1", "t4g.micro", Some(Usd::from_micros(8_400))));
        changes.add(Change::free(Action::Create, "key pair", "disco-web", "the operator's"));
        assert_eq!(changes.as_slice().len(), 2);
        assert_eq!(changes.as_slice()[0].details, "the operator's");
        changes.add(Change { monthly: None, ..Change::free(Action::Delete, MACHINE, "web-1", "") });
        assert_eq!((changes.count(Action::Create), changes.count(Action::Delete)), (2, 1));
        assert_eq!((changes.monthly(), changes.unknown()), (Usd::from_micros(6_132_000), 1));
    }

    #[test]
    fn a_command_on_two_nodes_is_two_commands() {
        let mut changes = Changes::default();
        for node in ["on node 1", "on node 2", "on node 2"] {
            changes.add(Change::free(Action::Run, COMMAND, "apt-get update", node));
        }
        assert_eq!((changes.as_slice().len(), changes.count(Action::Run)), (2, 2));
    }

    #[test]
    fn words_of_actions_are_read_back() {
        for action in [Action::Create, Action::Change, Action::Delete, Action::Run] {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("destroy"), None);
    }
}
