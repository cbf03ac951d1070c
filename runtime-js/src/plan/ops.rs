//! What the files of the capabilities call instead of doing something.

use std::rc::Rc;

use deno_core::{OpState, op2};

use super::WouldRun;
use crate::engine::Shared;

/// Tells the host what is not done.
#[op2(fast)]
pub(crate) fn op_would_run(
    state: &mut OpState,
    #[string] kind: String,
    #[string] name: String,
    #[string] details: String,
) {
    if let Some(plan) = &state.borrow::<Rc<Shared>>().options.hosts.plan {
        plan.would_run(WouldRun { kind, name, details });
    }
}
