//! Called by the files of the capabilities instead of an effect.

use std::rc::Rc;

use deno_core::{OpState, op2};

use super::WouldRun;
use crate::engine::Shared;

/// Reports the planned action to the host.
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
