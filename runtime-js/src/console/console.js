// `console`: formats as people know it from other engines, and hands over text.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { INSPECT } = internals;
  const { op_console } = core.ops;

  const MAX_DEPTH = 4;
  const MAX_ITEMS = 100;
  const LINE = 76;

  const quoted = (text) => {
    const json = JSON.stringify(text);
    return text.includes('"') && !text.includes("'") ? `'${json.slice(1, -1).replaceAll('\\"', '"')}'` : json;
  };
  const PLAIN_KEY = /^(\d+|[\p{ID_Start}$_][\p{ID_Continue}$]*)$/u;
  const key = (name) => typeof name === "symbol" ? `[${String(name)}]` : PLAIN_KEY.test(name) ? name : quoted(name);

  function constructorName(value) {
    for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
      const own = Object.getOwnPropertyDescriptor(at, "constructor")?.value;
      if (typeof own === "function" && own.name !== "") return own.name;
    }
    return null;
  }

  // The stack names files as the engine knows them: `disco://7/cluster.js` is `cluster.js` to people.
  function errorText(error) {
    const head = Error.prototype.toString.call(error);
    const stack = typeof error.stack === "string" ? error.stack : "";
    const frames = stack.split("\n").filter((line) => /^\s+at .*disco:\/\/\d+\//.test(line));
    return [head, ...frames].join("\n").replace(/disco:\/\/\d+\//g, "").replace(/\bat Module\./g, "at ");
  }

  function group(open, parts, close, indent, more) {
    if (more > 0) parts.push(`... ${more} more`);
    if (parts.length === 0) return open + close;
    const flat = `${open} ${parts.join(", ")} ${close}`;
    if (flat.length + indent <= LINE && !flat.includes("\n")) return flat;
    const pad = " ".repeat(indent + 2);
    return `${open}\n${pad}${parts.join(`,\n${pad}`)}\n${" ".repeat(indent)}${close}`;
  }

  function inspect(value, depth, indent, seen) {
    switch (typeof value) {
      case "string": return quoted(value);
      case "bigint": return `${value}n`;
      case "symbol": return String(value);
      case "number": return Object.is(value, -0) ? "-0" : String(value);
      case "function": {
        const kind = /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "Function";
        return value.name === "" ? `[${kind} (anonymous)]` : `[${kind} ${value.name}]`;
      }
      case "object": break;
      default: return String(value);
    }
    if (value === null) return "null";
    if (seen.includes(value)) return "[Circular]";
    if (typeof value[INSPECT] === "function") return value[INSPECT]();

    const inner = [...seen, value];
    const nested = (item) => inspect(item, depth + 1, indent + 2, inner);
    const property = (name) => {
      const { get, set, value: item } = Object.getOwnPropertyDescriptor(value, name);
      if (get !== undefined || set !== undefined) return `${key(name)}: [${get ? "Getter" : ""}${get && set ? "/" : ""}${set ? "Setter" : ""}]`;
      return `${key(name)}: ${nested(item)}`;
    };
    const keys = Object.keys(value);

    if (value instanceof Error) {
      let text = errorText(value);
      if (indent > 0) text = text.replaceAll("\n", `\n${" ".repeat(indent)}`);
      const extra = keys.filter((name) => !["stack", "message", "name", "cause"].includes(name)).map(property);
      if (value.cause !== undefined) extra.push(`[cause]: ${nested(value.cause)}`);
      if (value instanceof AggregateError) extra.push(`[errors]: ${nested(value.errors)}`);
      return extra.length === 0 ? text : `${text} ${group("{", extra, "}", indent, 0)}`;
    }
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (value instanceof Promise) return "Promise {}";

    const name = constructorName(value);
    const isArray = Array.isArray(value);
    const isView = ArrayBuffer.isView(value) && !(value instanceof DataView);
    if (depth > MAX_DEPTH) return isArray ? "[Array]" : `[${name ?? "Object"}]`;

    if (isArray || isView) {
      const shown = Math.min(value.length, MAX_ITEMS);
      const parts = [];
      for (let i = 0; i < shown; i++) parts.push(i in value ? nested(value[i]) : "<empty>");
      if (isArray) for (const extra of keys.filter((k) => !/^\d+$/.test(k))) parts.push(property(extra));
      const prefix = isView || name !== "Array" ? `${name}(${value.length}) ` : "";
      return group(`${prefix}[`, parts, "]", indent, value.length - shown);
    }
    if (value instanceof Map) {
      const parts = [...value].slice(0, MAX_ITEMS).map(([k, v]) => `${nested(k)} => ${nested(v)}`);
      return group(`Map(${value.size}) {`, parts, "}", indent, value.size - parts.length);
    }
    if (value instanceof Set) {
      const parts = [...value].slice(0, MAX_ITEMS).map(nested);
      return group(`Set(${value.size}) {`, parts, "}", indent, value.size - parts.length);
    }
    if (value instanceof ArrayBuffer) return `ArrayBuffer(${value.byteLength})`;
    if (value instanceof String || value instanceof Number || value instanceof Boolean) return `[${name}: ${nested(value.valueOf())}]`;

    const symbols = Object.getOwnPropertySymbols(value).filter((s) => Object.prototype.propertyIsEnumerable.call(value, s));
    const all = [...keys, ...symbols];
    const parts = all.slice(0, MAX_ITEMS).map(property);
    const prefix = name === null ? "[Object: null prototype] " : name === "Object" ? "" : `${name} `;
    return group(`${prefix}{`, parts, "}", indent, all.length - parts.length);
  }

  const show = (value) => {
    if (typeof value === "string") return value;
    try {
      return inspect(value, 0, 0, []);
    } catch (error) {
      // A getter or proxy that throws must not make logging fail.
      return `[cannot be shown: ${error}]`;
    }
  };

  function format(args) {
    let first = 0;
    let text = "";
    if (typeof args[0] === "string" && args.length > 1 && args[0].includes("%")) {
      first = 1;
      text = args[0].replace(/%[sdifjoOc%]/g, (spec) => {
        if (spec === "%%") return "%";
        if (first >= args.length) return spec;
        const value = args[first++];
        switch (spec) {
          case "%s": return typeof value === "object" ? show(value) : String(value);
          case "%d": return String(Number(value));
          case "%i": return String(Number.parseInt(value, 10));
          case "%f": return String(Number.parseFloat(value));
          case "%j": return JSON.stringify(value);
          case "%c": return "";
          default: return inspect(value, 0, 0, []);
        }
      });
      if (first < args.length) text += " ";
    }
    return text + args.slice(first).map(show).join(" ");
  }

  const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;
  let indentation = "";
  const counts = new Map();
  const timers = new Map();
  const write = (level, text) =>
    op_console(internals.current().id, level, indentation === "" ? text : indentation + text.replaceAll("\n", `\n${indentation}`));
  const method = (level) => (...args) => write(level, format(args));

  internals.inspect = show;
  internals.define("console", {
    log: method(INFO),
    info: method(INFO),
    debug: method(DEBUG),
    warn: method(WARN),
    error: method(ERROR),
    dir: (value) => write(INFO, show(value)),
    trace: (...args) => write(DEBUG, `Trace: ${format(args)}\n${errorText(new Error()).split("\n").slice(1).join("\n")}`),
    assert: (condition, ...args) => {
      if (!condition) write(ERROR, args.length === 0 ? "Assertion failed" : `Assertion failed: ${format(args)}`);
    },
    group: (...args) => {
      if (args.length > 0) write(INFO, format(args));
      indentation += "  ";
    },
    groupEnd: () => void (indentation = indentation.slice(2)),
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      write(INFO, `${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    time: (label = "default") => void timers.set(label, Date.now()),
    timeEnd: (label = "default") => {
      if (timers.has(label)) write(INFO, `${label}: ${Date.now() - timers.get(label)} ms`);
      timers.delete(label);
    },
    table: (value) => write(INFO, show(value)),
  });
})();
