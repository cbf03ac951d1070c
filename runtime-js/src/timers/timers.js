// `setTimeout` and its kind, and `delay`.
"use strict";
(() => {
  const { core, internals, primordials } = globalThis.__bootstrap;
  // The originals, which no script can change.
  const { SafeMap, SafeSetIterator } = primordials;

  // All active timers. Each belongs to the call that started it, and ends with it.
  const running = new SafeMap(); // id: { timer, call, ended }
  let last = 0;

  // A timer of the engine waits for at most 24 days (2^31 - 1 ms), and fires at once for longer times.
  const LONGEST = 0x7fffffff;

  const milliseconds = (after) => {
    const number = Number(after ?? 0);
    return number > 0 ? number : 0;
  };

  // `ended`: called if the timer is cleared because its call has ended.
  function start(what, callback, after, args, repeat, ended) {
    if (typeof callback !== "function") throw new TypeError("a timer needs a function");
    internals.need(0, what);
    const call = internals.current();
    if (call.timers === null) throw internals.codedError(`\`${what}\` is not allowed in code that belongs to no call`, "NOT_ALLOWED");
    const id = ++last;
    const period = milliseconds(after);
    const once = !repeat || period > LONGEST;
    let left = period;
    const entry = { timer: undefined, call, ended };
    const wait = () => {
      const now = Math.min(left, LONGEST);
      left -= now;
      entry.timer = core.createTimer(ring, now, undefined, !once, true);
    };
    const ring = () => {
      if (left > 0) return wait();
      if (once && repeat) {
        left = period;
        wait();
      } else if (once) {
        forget(id);
      }
      core.setAsyncContext(call);
      try {
        callback(...args);
      } catch (error) {
        internals.uncaught(error);
      } finally {
        core.setAsyncContext(undefined);
      }
    };
    running.set(id, entry);
    call.timers.add(id);
    wait();
    return id;
  }

  function forget(id) {
    const entry = running.get(id);
    if (entry === undefined) return undefined;
    running.delete(id);
    entry.call.timers.delete(id);
    return entry;
  }

  function stop(id) {
    const entry = forget(id);
    if (entry !== undefined) core.cancelTimer(entry.timer);
    return entry;
  }

  internals.endTimers = (call) => {
    for (const id of new SafeSetIterator(call.timers)) stop(id)?.ended?.();
  };

  internals.startTimer = (callback, after) => start("AbortSignal.timeout", callback, after, [], false);
  internals.define("setTimeout", function setTimeout(callback, after, ...args) {
    return start("setTimeout", callback, after, args, false);
  });
  internals.define("setInterval", function setInterval(callback, after, ...args) {
    return start("setInterval", callback, after, args, true);
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
      const call = internals.current();
      const id = start("delay", () => {
        signal?.removeEventListener("abort", onabort);
        resolve();
      }, after, [], false, () => reject(internals.endedError(call, "delay")));
      signal?.addEventListener("abort", onabort);
    });
  });
})();
