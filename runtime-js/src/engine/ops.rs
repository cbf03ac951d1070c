//! Operations between the script side of the engine (`context.js`, `invoke.js`) and the thread.

use std::rc::Rc;

use deno_core::{OpState, op2, v8};
use tokio_util::sync::CancellationToken;

use super::errors::{OpError, Thrown};
use super::isolate::HostFunctions;
use super::shared::Shared;
use crate::ScriptErrorKind;
use crate::console::ConsoleLevel;

/// Receives the functions with which the thread calls scripts.
#[op2(fast)]
pub(super) fn op_install_host<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &mut OpState,
    functions: v8::Local<'s, v8::Object>,
) {
    let functions = HostFunctions::from_object(scope, functions);
    state.borrow::<Rc<Shared>>().functions.replace(functions.map(Rc::new));
}

/// A call succeeded.
#[op2(fast)]
pub(super) fn op_call_done(state: &mut OpState, #[smi] id: u32, #[string] result: String) {
    let shared = state.borrow::<Rc<Shared>>();
    if !shared.heap.is_of(id) {
        shared.calls.borrow_mut().complete(id, Ok(result));
    }
}

/// A call threw: with texts made by `failure.js`, since no value of a script is converted here.
#[op2(fast)]
pub(super) fn op_call_failed(
    state: &mut OpState,
    #[smi] id: u32,
    #[string] name: String,
    #[string] message: String,
    #[string] code: String,
    #[string] stack: String,
    #[string] behind: String,
) {
    let shared = state.borrow::<Rc<Shared>>();
    if shared.heap.is_of(id) {
        return;
    }
    let error = Thrown { name, message, code, stack, behind }.into_error(&shared.versions);
    shared.calls.borrow_mut().complete(id, Err(error));
}

/// An uncaught exception: it ends the call that it belongs to, or is written to the console if that call has ended. Ignored after
/// the call has exceeded its memory limit, which the isolate reports.
#[op2(fast)]
pub(super) fn op_uncaught(
    state: &mut OpState,
    #[smi] id: u32,
    #[string] name: String,
    #[string] message: String,
    #[string] code: String,
    #[string] stack: String,
    #[string] behind: String,
) {
    let shared = state.borrow::<Rc<Shared>>();
    if shared.heap.is_of(id) {
        return;
    }
    let mut error = Thrown { name, message, code, stack, behind }.into_error(&shared.versions);
    if error.kind == ScriptErrorKind::Thrown {
        error.message.insert_str(0, "uncaught: ");
    }
    let rendered = error.render();
    if !shared.calls.borrow_mut().complete(id, Err(error)) {
        shared.write(id, ConsoleLevel::Error, &rendered);
    }
}

/// A number with which a script can abort an operation that it is about to start.
#[op2(fast)]
#[smi]
pub(super) fn op_abort_key(state: &mut OpState) -> Result<u32, OpError> {
    Ok(state.borrow::<Rc<Shared>>().aborts.borrow_mut().add(0, CancellationToken::new())?)
}

/// Aborts the operation.
#[op2(fast)]
pub(super) fn op_abort(state: &mut OpState, #[smi] key: u32) {
    if let Some(token) = state.borrow::<Rc<Shared>>().aborts.borrow().get(key) {
        token.cancel();
    }
}

/// The operation has ended.
#[op2(fast)]
pub(super) fn op_abort_forget(state: &mut OpState, #[smi] key: u32) {
    state.borrow::<Rc<Shared>>().aborts.borrow_mut().remove(key);
}
