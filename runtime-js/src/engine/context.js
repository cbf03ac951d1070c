// Helpers that the files of the capabilities share. Runs first; none of it stays on the global object.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { ops } = core;

  // Every promise, timer and listener carries the call of the code that made it. Code without a call may only
  // compute.
  const NO_CALL = { id: 0, capabilities: 0, hook: "this code", revoked: null, timers: null };
  const current = () => core.getAsyncContext() ?? NO_CALL;

  function codedError(message, code, Type = Error) {
    const error = new Type(message);
    error.code = code;
    return error;
  }

  const endedError = (call, what) =>
    codedError(`\`${what}\` is refused: \`${call.hook}\` has ended (${call.revoked})`, "CANCELLED");
  const invalid = (message) => codedError(message, "INVALID", TypeError);

  // The options of a function. An unknown one is refused: a misspelt option would be ignored silently.
  function options(given, known, what) {
    if (given === undefined || given === null) return {};
    if (typeof given !== "object") throw invalid(`the options of \`${what}\` must be an object`);
    for (const name of Object.keys(given)) {
      if (!known.includes(name)) throw invalid(`\`${what}\` has no option \`${name}\`${known.length === 0 ? "" : `; it has ${known.join(", ")}`}`);
    }
    return given;
  }

  // The id of the current call, if it may do `what`.
  function need(capability, what) {
    const call = current();
    if (call.revoked !== null) throw endedError(call, what);
    if ((call.capabilities & capability) !== capability) {
      throw codedError(`\`${what}\` is not allowed in \`${call.hook}\``, "NOT_ALLOWED");
    }
    return call.id;
  }

  // Copies the name, message and properties of `error` to `site`, which was made where the script called.
  function moveTo(site, error) {
    const prototype = Object.getPrototypeOf(error);
    if (prototype !== Error.prototype) Object.setPrototypeOf(site, prototype);
    const hidden = (value) => ({ value, writable: true, configurable: true, enumerable: false });
    Object.defineProperty(site, "message", hidden(error.message));
    if (Object.hasOwn(error, "own_name") && error.own_name !== site.name) {
      Object.defineProperty(site, "name", hidden(error.own_name));
    }
    for (const key of Object.keys(error)) if (key !== "own_name") site[key] = error[key];
    const frames = typeof site.stack === "string" ? site.stack.slice(site.stack.indexOf("\n    at ") + 1) : "";
    Object.defineProperty(site, "stack", hidden(`${site.name}: ${site.message}\n${frames}`));
    return site;
  }

  // Errors of the host have no place in the script: they get the place of `site`.
  const located = (error, site) => error instanceof Error && Object.hasOwn(error, "own_name") ? moveTo(site, error) : error;

  // Starts a host operation: `start` gets the call's id and returns the operation's promise.
  function effect(capability, what, start) {
    const site = new Error();
    let promise;
    try {
      promise = start(need(capability, what));
    } catch (error) {
      throw located(error, site);
    }
    return promise.then(undefined, (error) => {
      throw located(error, site);
    });
  }

  // As `effect`, for operations that take and give JSON text.
  const effectJson = (capability, what, start) =>
    effect(capability, what, (id) => start(id).then((text) => text === "" ? undefined : JSON.parse(text)));

  // Forwards an abort of `signal`: calls `start(key)`, where `key` identifies the operation for the host.
  function abortable(signal, start) {
    if (signal === undefined || signal === null) return start(0);
    signal.throwIfAborted();
    const key = ops.op_abort_key();
    const onabort = () => ops.op_abort(key);
    signal.addEventListener("abort", onabort);
    return start(key).then(
      (value) => {
        signal.removeEventListener("abort", onabort);
        ops.op_abort_forget(key);
        return value;
      },
      (error) => {
        signal.removeEventListener("abort", onabort);
        ops.op_abort_forget(key);
        throw signal.aborted ? signal.reason : error;
      },
    );
  }

  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

  const milliseconds = (value, what) => {
    if (value === undefined) return -1;
    if (typeof value !== "number" || !(value >= 0)) throw invalid(`\`${what}\` must be a number of milliseconds`);
    return Math.min(value, Number.MAX_SAFE_INTEGER);
  };

  // A plan performs nothing that could change something: it records it, and the script continues with a placeholder answer.
  const PLAN = 128;
  const planning = () => (current().capabilities & PLAN) !== 0;
  const wouldRun = ({ kind, name, details }) => ops.op_would_run(kind, name, details);

  // Reports truncated output in the log too, as a script may not check the field.
  function warnTruncated(what, { truncated }) {
    const WARN = 2;
    if (truncated) ops.op_console(current().id, WARN, `${what} wrote too much output: the rest was dropped (\`truncated\`)`);
  }

  Object.assign(internals, {
    // As in `capabilities.rs`.
    READ: 1, CLOUD: 2, KV_WRITE: 4, NODES: 8, NET: 16, PROCESS: 32, ASK: 64,
    current, need, endedError, effect, effectJson, located, moveTo, abortable, codedError, invalid, options, define, milliseconds,
    planning, wouldRun, warnTruncated,
    INSPECT: Symbol("inspect"),
    // The error of a command that never ran.
    FORGOTTEN: Symbol("forgotten"),
  });
})();
