// `AbortController`, `AbortSignal`: as in browsers, without the rest of the event model.
"use strict";
(() => {
  const { internals } = globalThis.__bootstrap;

  function namedError(name, message) {
    const error = new Error(message);
    Object.defineProperty(error, "name", { value: name, writable: true, configurable: true, enumerable: false });
    return error;
  }
  internals.abortError = (message) => namedError("AbortError", message);

  const KEY = Symbol("signal");
  let abort;

  class AbortSignal {
    #aborted = false;
    #reason = undefined;
    #listeners = [];
    onabort = null;

    constructor(key) {
      if (key !== KEY) throw new TypeError("an AbortSignal is made by an AbortController");
    }
    static {
      abort = (signal, reason) => {
        if (signal.#aborted) return;
        signal.#aborted = true;
        signal.#reason = reason === undefined ? namedError("AbortError", "aborted") : reason;
        const event = { type: "abort", target: signal };
        const listeners = signal.#listeners.splice(0);
        if (typeof signal.onabort === "function") listeners.unshift({ listener: signal.onabort });
        for (const { listener } of listeners) {
          try {
            if (typeof listener === "function") listener.call(signal, event);
            else listener.handleEvent(event);
          } catch (error) {
            internals.uncaught(error);
          }
        }
      };
    }
    get aborted() {
      return this.#aborted;
    }
    get reason() {
      return this.#reason;
    }
    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }
    addEventListener(type, listener) {
      if (type !== "abort" || !listener || this.#aborted) return;
      if (!this.#listeners.some((entry) => entry.listener === listener)) this.#listeners.push({ listener });
    }
    removeEventListener(type, listener) {
      if (type === "abort") this.#listeners = this.#listeners.filter((entry) => entry.listener !== listener);
    }
    static abort(reason) {
      const signal = new AbortSignal(KEY);
      abort(signal, reason);
      return signal;
    }
    static timeout(after) {
      const signal = new AbortSignal(KEY);
      const limit = internals.milliseconds(after ?? NaN, "AbortSignal.timeout");
      internals.startTimer(() => abort(signal, namedError("TimeoutError", `took longer than ${after} ms`)), limit);
      return signal;
    }
    static any(signals) {
      const result = new AbortSignal(KEY);
      for (const signal of signals) {
        if (signal.aborted) {
          abort(result, signal.reason);
          break;
        }
        signal.addEventListener("abort", () => abort(result, signal.reason));
      }
      return result;
    }
  }

  class AbortController {
    #signal = new AbortSignal(KEY);
    get signal() {
      return this.#signal;
    }
    abort(reason) {
      abort(this.#signal, reason);
    }
  }

  internals.define("AbortSignal", AbortSignal);
  internals.define("AbortController", AbortController);
})();
