// `setTimeout` and its kind, and `delay`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;

  const running = new Map();
  let last = 0;

  // A timer of the engine waits for 24 days at most, and rings at once when it is asked for more: 2^31 - 1 ms.
  const LONGEST = 0x7fffffff;

  const milliseconds = (after) => {
    const number = Number(after ?? 0);
    return number > 0 ? number : 0;
  };

  function start(callback, after, args, repeat) {
    if (typeof callback !== "function") throw new TypeError("a timer needs a function");
    const call = core.getAsyncContext();
    const id = ++last;
    const period = milliseconds(after);
    const once = !repeat || period > LONGEST;
    let left = period;
    const wait = () => {
      const now = Math.min(left, LONGEST);
      left -= now;
      running.set(id, core.createTimer(ring, now, undefined, !once, true));
    };
    const ring = () => {
      if (left > 0) return wait();
      if (once) running.delete(id);
      if (once && repeat) {
        left = period;
        wait();
      }
      core.setAsyncContext(call);
      try {
        callback(...args);
      } catch (error) {
        core.ops.op_uncaught(internals.current().id, error);
      } finally {
        core.setAsyncContext(undefined);
      }
    };
    wait();
    return id;
  }

  function stop(id) {
    const timer = running.get(id);
    if (timer === undefined) return;
    running.delete(id);
    core.cancelTimer(timer);
  }

  internals.startTimer = (callback, after) => start(callback, after, [], false);
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
