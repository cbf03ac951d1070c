//! What `env.js` calls.

use std::rc::Rc;

use deno_core::{OpState, op2};

use crate::Json;
use crate::engine::Shared;

/// The environment as a JSON object.
#[op2]
#[string]
pub(crate) fn op_env(state: &mut OpState) -> String {
    let env = &state.borrow::<Rc<Shared>>().options.env;
    env.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str()))).collect::<Json>().to_string()
}
