//! What `console.js` calls.

use std::rc::Rc;

use deno_core::{OpState, op2};

use super::ConsoleLevel;
use crate::engine::Shared;

#[op2(fast)]
pub(crate) fn op_console(state: &mut OpState, #[smi] call: u32, #[smi] level: u32, #[string] text: &str) {
    let level = match level {
        0 => ConsoleLevel::Debug,
        1 => ConsoleLevel::Info,
        2 => ConsoleLevel::Warn,
        _ => ConsoleLevel::Error,
    };
    state.borrow::<Rc<Shared>>().write(call, level, text);
}
