// `setTimeout` and its kind, and `delay`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;

  const running = new Map();
  let last = 0;

  function start(callback, after, args, repeat) {
    if (typeof callback !== "function") throw new TypeError("a timer needs a function");
    const call = core.getAsyncContext();
    const id = ++last;
    const timer = core.createTimer(
      () => {
        if (!repeat) running.delete(id);
        core.setAsyncContext(call);
        try {
          callback(...args);
        } catch (error) {
          core.ops.op_uncaught(internals.current().id, error);
        } finally {
          core.setAsyncContext(undefined);
        }
      },
      Number(after ?? 0),
      undefined,
      repeat,
      true,
    );
    running.set(id, timer);
    return id;
  }

  function stop(id) {
    const timer = running.get(id);
    if (timer === undefined) return;
    running.delete(id);
    core.cancelTimer(timer);
  }

  internals.define("setTimeout", function setTimeout(callback, after, ...args) {
    return start(callback, after, args, false);
  });
  internals.define("setInterval", function setInterval(callback, after, ...args) {
    return start(callback, after, args, true);
  });
  internals.define("clearTimeout", function clearTimeout(id) {
    stop(id);
  });
  internals.define("clearInterval", function clearInterval(id) {
    stop(id);
  });
  internals.define("delay", function delay(after, options) {
    return new Promise((resolve, reject) => {
      if (internals.milliseconds(after, "delay") < 0) throw new TypeError("`delay` needs a number of milliseconds");
      const signal = options?.signal;
      signal?.throwIfAborted();
      const onabort = () => {
        stop(id);
        reject(signal.reason);
      };
      const id = start(() => {
        signal?.removeEventListener("abort", onabort);
        resolve();
      }, after, [], false);
      signal?.addEventListener("abort", onabort);
    });
  });
})();
