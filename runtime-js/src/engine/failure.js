// Converts thrown values to text. A script can throw anything: a symbol, an object without a prototype, one whose properties
// throw when they are read. The engine's own conversion ends the process for some of these, so it only gets texts
// that are made here. All functions used here were saved before any script ran.
"use strict";
(() => {
  const { core, internals, primordials } = globalThis.__bootstrap;
  const { ops } = core;
  const {
    AggregateErrorPrototype, ArrayIsArray, ErrorPrototype, ObjectPrototypeIsPrototypeOf, String, StringPrototypeIncludes, StringPrototypeSlice,
  } = primordials;

  // The most characters of a message and of a stack, and the most reported causes of an error.
  const MESSAGE = 16384, STACK = 16384, BEHIND = 8;

  // A property, or undefined if reading it throws.
  function read(object, key) {
    try {
      return object[key];
    } catch {
      return undefined;
    }
  }
  function readText(object, key, limit) {
    const value = read(object, key);
    return typeof value === "string" ? StringPrototypeSlice(value, 0, limit) : undefined;
  }
  function isBelow(prototype, value) {
    try {
      return ObjectPrototypeIsPrototypeOf(prototype, value);
    } catch {
      return false;
    }
  }

  // A value that is not an error, as text.
  function plainText(value) {
    try {
      // Only String() converts a symbol.
      if (typeof value !== "object" && typeof value !== "function") return StringPrototypeSlice(String(value), 0, MESSAGE);
      if (value === null) return "null";
      const text = internals.inspect(value);
      if (typeof text === "string") return StringPrototypeSlice(text, 0, MESSAGE);
    } catch {
      // As below.
    }
    return "an object that cannot be shown";
  }

  // The place of a syntax error, which has no stack.
  function ownPlace(error) {
    const file = readText(error, "fileName", 1000), line = read(error, "lineNumber"), column = read(error, "columnNumber");
    return file === undefined || typeof line !== "number" ? "" : `\n    at ${file}:${line}:${typeof column === "number" ? column : 1}`;
  }

  // `name` is empty for a value that is not an error; `behind` are lines about its causes.
  function describe(thrown) {
    const text = { name: "", message: "", code: "", stack: "", behind: "" };
    if ((typeof thrown !== "object" && typeof thrown !== "function") || thrown === null) {
      text.message = plainText(thrown);
      return text;
    }
    text.code = readText(thrown, "code", 100) ?? "";
    if (!isBelow(ErrorPrototype, thrown)) {
      text.message = plainText(thrown);
      return text;
    }
    text.name = readText(thrown, "name", 200) || "Error";
    text.message = readText(thrown, "message", MESSAGE) ?? "";
    text.stack = readText(thrown, "stack", STACK) ?? "";
    if (!StringPrototypeIncludes(text.stack, "\n    at ")) text.stack += ownPlace(thrown);
    const left = { count: BEHIND };
    text.behind = behind(thrown, left, 1);
    return text;
  }

  function behind(error, left, depth) {
    let lines = "";
    const add = (what, value) => {
      if (left.count === 0) return;
      left.count--;
      let text;
      let place = "";
      if (isBelow(ErrorPrototype, value)) {
        const name = readText(value, "name", 200) || "Error", message = readText(value, "message", 2000) ?? "";
        text = message === "" ? name : `${name}: ${message}`;
        place = readText(value, "stack", STACK) ?? "";
      } else {
        text = StringPrototypeSlice(plainText(value), 0, 2000);
      }
      lines += `\u0001${depth}\u0002${what} ${text}\u0002${place}`;
      if (depth < BEHIND && typeof value === "object" && value !== null) lines += behind(value, left, depth + 1);
    };
    const cause = read(error, "cause");
    if (cause !== undefined) add("caused by", cause);
    if (isBelow(AggregateErrorPrototype, error)) {
      const errors = read(error, "errors");
      try {
        if (ArrayIsArray(errors)) for (let i = 0; i < errors.length && left.count > 0; i++) add("one of them:", read(errors, i));
      } catch {
        // A proxy of an array may throw at any access: its content stays unknown.
      }
    }
    return lines;
  }

  const UNKNOWN = { name: "", message: "an object that cannot be shown", code: "", stack: "", behind: "" };
  function safely(thrown) {
    try {
      return describe(thrown);
    } catch {
      // The stack was full, or something that is used here was replaced.
      return UNKNOWN;
    }
  }

  // The last error of a call, for a call that exceeded its memory limit: then operations are no longer possible.
  const last = { __proto__: null, call: "", stack: "" };
  function note(id, stack) {
    last.call = `${id}`;
    last.stack = stack;
  }

  function failed(id, thrown) {
    const { name, message, code, stack, behind } = safely(thrown);
    note(id, stack);
    ops.op_call_failed(id, name, message, code, stack, behind);
  }

  // Uncaught exceptions and rejections end the call that they belong to.
  function uncaught(thrown) {
    try {
      const call = internals.current();
      const { name, message, code, stack, behind } = safely(thrown);
      note(call.id, stack);
      // A call that has ended does not report its own cancellation.
      if (call.revoked !== null && code === "CANCELLED") return;
      ops.op_uncaught(call.id, name, message, code, stack, behind);
    } catch {
      // No call is left to report to.
    }
  }
  core.setReportExceptionCallback(uncaught);
  core.setUnhandledPromiseRejectionHandler((_promise, reason) => {
    uncaught(reason);
    return true;
  });

  Object.assign(internals, { failed, uncaught, thrown: last });
})();
