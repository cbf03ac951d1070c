// Globals of the engine by which a script could stop the thread, pass by its limits, or run code that belongs to no call.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;

  // Scripts have one thread: who waits here for another one waits for ever, and memory is shared with nobody. The engine does not
  // count such memory either.
  const refused = (name) => {
    throw internals.codedError(`\`${name}\` is not available: scripts have one thread, which must not be blocked`, "UNSUPPORTED", TypeError);
  };
  Object.defineProperty(Atomics, "wait", {
    value: function wait() {
      refused("Atomics.wait");
    }, writable: true, configurable: true, enumerable: false,
  });
  delete Atomics.waitAsync;
  const Shared = globalThis.SharedArrayBuffer;
  const replace = (Native, Replacement) => {
    Object.defineProperty(Replacement, "prototype", { value: Native.prototype, writable: false, configurable: false, enumerable: false });
    Object.defineProperty(Native.prototype, "constructor", { value: Replacement, writable: true, configurable: true, enumerable: false });
    internals.define(Native.name, Replacement);
  };
  if (typeof Shared === "function") {
    replace(Shared, function SharedArrayBuffer() {
      refused("SharedArrayBuffer");
    });
  }

  // The engine takes apart what a module has thrown, unless it knows the frames of it, and ends the process where a property is not as
  // it expects. Here every error has frames, and every proxy says so.
  const FRAMES = Symbol.for("v82jsc_private:deno_core::call_site_evals");
  const frames = Object.freeze([Object.freeze({})]);
  const { apply, construct, get } = Reflect;
  Object.defineProperty(Error.prototype, FRAMES, { value: frames, writable: true, configurable: false, enumerable: false });
  const NativeProxy = globalThis.Proxy;
  const withFrames = (handler) =>
    new NativeProxy(handler, {
      get(own, trap) {
        const found = own[trap];
        if (trap !== "get") return found;
        return (target, key, receiver) => {
          if (key === FRAMES) return frames;
          return found === undefined || found === null ? get(target, key, receiver) : apply(found, own, [target, key, receiver]);
        };
      },
    });
  function Proxy(target, handler) {
    if (new.target === undefined) throw new TypeError("Proxy is made with `new`");
    return new NativeProxy(target, withFrames(handler));
  }
  Proxy.prototype = undefined;
  const { revocable } = NativeProxy;
  Object.defineProperty(Proxy, "revocable", {
    value: (target, handler) => revocable(target, withFrames(handler)), writable: true, configurable: true, enumerable: false,
  });
  internals.define("Proxy", Proxy);
  // The engine calls this when it collects garbage, outside of all calls: what it throws has to be caught, and it works for
  // the call that made it.
  const Registry = globalThis.FinalizationRegistry;
  replace(Registry, function FinalizationRegistry(cleanup) {
    if (new.target === undefined) throw new TypeError("FinalizationRegistry is made with `new`");
    if (typeof cleanup !== "function") throw new TypeError("a FinalizationRegistry needs a function");
    const call = core.getAsyncContext();
    const guarded = (held) => {
      core.setAsyncContext(call);
      try {
        apply(cleanup, undefined, [held]);
      } catch (error) {
        internals.uncaught(error);
      } finally {
        core.setAsyncContext(undefined);
      }
    };
    return construct(Registry, [guarded], new.target);
  });

  // When it has ended a script, the engine takes apart an error of its own, and what that inherits as its cause: nothing.
  for (const name of ["Error", "InternalError"]) {
    const prototype = globalThis[name]?.prototype;
    if (prototype === undefined) continue;
    Object.defineProperty(prototype, "cause", {
      get: () => undefined,
      set(value) {
        Object.defineProperty(this, "cause", { value, writable: true, configurable: true, enumerable: true });
      },
      configurable: false, enumerable: false,
    });
    Object.defineProperty(prototype, "constructor", { writable: false, configurable: false });
  }

  // The engine looks these up by their names whenever it makes an error or a symbol, and ends the process where they are not its own.
  const lock = (object, key) => {
    const own = Object.getOwnPropertyDescriptor(object, key);
    if (own !== undefined && own.configurable && "value" in own) {
      Object.defineProperty(object, key, { value: own.value, writable: false, configurable: false, enumerable: own.enumerable });
    }
  };
  const OWN = [
    "AggregateError", "Array", "ArrayBuffer", "BigInt", "Boolean", "DataView", "Date", "Error", "EvalError", "Function", "JSON", "Map", "Number", "Object",
    "Promise", "Proxy", "RangeError", "ReferenceError", "Reflect", "RegExp", "Set", "String", "Symbol", "SyntaxError", "TypeError", "URIError",
    "WeakMap", "WeakRef", "WeakSet",
  ];
  for (const name of OWN) {
    const object = globalThis[name];
    for (const key of Reflect.ownKeys(object)) {
      if (typeof object[key] === "function" && key !== "prepareStackTrace") lock(object, key);
    }
    lock(globalThis, name);
  }
})();
