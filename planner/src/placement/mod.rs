//! Which task runs on which node.
//!
//! The planner looks at all nodes, all tasks and what every service wants, and returns every start and stop that is missing,
//! and a reason per node for each task that it could not place. It remembers nothing: any change of the view may be answered
//! by calling it again, so nothing waits for an event that does not come.
//!
//! What holds:
//! - A task takes its resources until its node says that it is gone ([`Task::gone`]), whatever was decided about it.
//! - A number ([`Task::index`]) belongs to one task of a group at a time.
//! - A task that is not placed fits on no node ([`Plan::unplaced`] says why, per node).
//! - A task on a lost node is replaced; of a singleton only once the old one cannot run any more ([`Task::may_run`]).
//! - A task on a drained node is stopped only when enough others are healthy; a singleton only if another node can take it.

mod choose;
mod fit;
mod plan;
mod usage;
mod view;

pub use fit::{Reason, Resource};
pub use plan::{Plan, Start, Stop, Unplaced, Why, meant, plan};
pub use view::{Constraint, Copies, Group, Node, Port, Presence, Protocol, Resources, State, Task};

#[cfg(test)]
mod optimum_test;
#[cfg(test)]
mod plan_test;
