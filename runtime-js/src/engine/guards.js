// Restricts globals of the engine by which a script could block the thread, evade its limits, or run code outside of any call.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;

  // Scripts have one thread: waiting for another one would block forever, and memory cannot be shared. The engine does not
  // count shared memory either.
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

  // The engine inspects a value thrown by a module, unless it already has its frames, and ends the process if a property is not as
  // expected. So every error gets frames, and every proxy claims to have them.
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
  // The engine calls this during garbage collection, outside of all calls: its exceptions must be caught, and it runs for the
  // call that made it.
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

  // After it has terminated a script, the engine inspects its own error with an inherited cause: it must inherit none.
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

  // The engine looks these up by name whenever it makes an error or a symbol, and ends the process if they were replaced.
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
