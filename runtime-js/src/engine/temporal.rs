//! Prevents the engine from evaluating its polyfill of `Temporal`: 435 kB of source, 4 MB of memory and 28 ms in every
//! context. No switch disables it, but it is skipped if `globalThis.Temporal` already exists.
//!
//! The engine makes its first context together with the isolate, and evaluates polyfills later, when it returns that
//! context. In between, it makes the template of the global object, which extensions may change: at that point an empty
//! `Temporal` is set on the waiting context. `invoke.js` deletes it again.

use std::ffi::{c_char, c_int, c_void};

use deno_core::v8;

// The engine's C interface, as its Rust side declares it. All of these are defined in the engine's library.
#[expect(unsafe_code, reason = "the Rust side gives no access to a context that was not handed out yet")]
unsafe extern "C" {
    fn v8__Isolate__GetCurrent() -> *mut c_void;
    fn v8__Isolate__GetCurrentContext(isolate: *mut c_void) -> *const c_void;
    fn v8__Context__Global(context: *const c_void) -> *const c_void;
    fn v8__Object__New(isolate: *mut c_void) -> *const c_void;
    fn v8__String__NewFromUtf8(isolate: *mut c_void, data: *const c_char, kind: c_int, length: c_int) -> *const c_void;
    fn v8__Object__Set(
        object: *const c_void,
        context: *const c_void,
        key: *const c_void,
        value: *const c_void,
    ) -> c_int;
}

/// A `global_template_middleware`: leaves the template as it is.
pub(super) fn skip_polyfill<'s>(
    _scope: &mut v8::PinScope<'s, '_, ()>,
    template: v8::Local<'s, v8::ObjectTemplate>,
) -> v8::Local<'s, v8::ObjectTemplate> {
    const NAME: &str = "Temporal";
    #[expect(unsafe_code, reason = "see the module's documentation")]
    // SAFETY: called while the isolate is entered and `_scope` is open, which keeps the handles made here alive. Each
    // function gets handles that the one before returned, of the type it declares; a null is not passed on.
    unsafe {
        let isolate = v8__Isolate__GetCurrent();
        if isolate.is_null() {
            return template;
        }
        let context = v8__Isolate__GetCurrentContext(isolate);
        if context.is_null() {
            return template;
        }
        let global = v8__Context__Global(context);
        let key = v8__String__NewFromUtf8(isolate, NAME.as_ptr().cast(), 0, NAME.len() as c_int);
        let value = v8__Object__New(isolate);
        if !global.is_null() && !key.is_null() && !value.is_null() {
            v8__Object__Set(global, context, key, value);
        }
    }
    template
}
