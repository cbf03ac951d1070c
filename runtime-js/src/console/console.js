// `console`: formats values as other engines do, and passes text to the host.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { INSPECT } = internals;
  const { op_console } = core.ops;

  const MAX_DEPTH = 4;
  const MAX_ITEMS = 100;
  const LINE = 76;
  // The most characters of a nested string, and rows of a table.
  const MAX_TEXT = 10_000;
  const MAX_ROWS = 1000;

  const quoted = (whole) => {
    const more = whole.length - MAX_TEXT;
    if (more > 0) return `${quoted(whole.slice(0, MAX_TEXT))}... ${more} more characters`;
    const text = whole;
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

  // The stack has the engine's file names: `disco://7/cluster.js` is shown as `cluster.js`.
  function errorText(error) {
    const head = Error.prototype.toString.call(error);
    const stack = typeof error.stack === "string" ? error.stack : "";
    const frames = stack.split("\n").filter((line) => /^\s+at .*disco:\/\/\d+\//.test(line));
    return [head, ...frames].join("\n").replace(/disco:\/\/\d+\//g, "").replace(/\bat Module\./g, "at ");
  }

  // The first items of an iterable.
  function first(iterable, count) {
    const items = [];
    for (const item of iterable) {
      if (items.length === count) break;
      items.push(item);
    }
    return items;
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
    const isArray = Array.isArray(value);
    const isView = ArrayBuffer.isView(value) && !(value instanceof DataView);
    // The keys of a large array would take more memory than the array itself: those other than its items are not shown.
    const keys = (isArray || isView) && value.length > MAX_ITEMS ? [] : Object.keys(value);

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
      const parts = first(value, MAX_ITEMS).map(([k, v]) => `${nested(k)} => ${nested(v)}`);
      return group(`Map(${value.size}) {`, parts, "}", indent, value.size - parts.length);
    }
    if (value instanceof Set) {
      const parts = first(value, MAX_ITEMS).map(nested);
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

  const number = (value) => Object.is(value, -0) ? "-0" : String(value);
  // Converts to a number; a symbol, or an object that throws, gives NaN.
  function toNumber(value, convert) {
    try {
      return number(convert(value));
    } catch {
      return "NaN";
    }
  }
  // As `%s`: objects with their own string conversion use it, all others are inspected.
  function toText(value) {
    if (typeof value === "number") return number(value);
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value !== "object" || value === null) return String(value);
    try {
      const builtin = [Object, Array, Date, Error].some((Class) => value.toString === Class.prototype.toString);
      const own = (typeof value.toString === "function" && !builtin) || (typeof value[Symbol.toPrimitive] === "function" && !(value instanceof Date));
      return own ? String(value) : show(value);
    } catch (error) {
      return `[cannot be shown: ${error}]`;
    }
  }
  function toJson(value) {
    try {
      return String(JSON.stringify(value));
    } catch (error) {
      return /circular/.test(error?.message) ? "[Circular]" : `[cannot be shown: ${error}]`;
    }
  }

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
          case "%s": return toText(value);
          case "%d": return typeof value === "bigint" ? `${value}n` : toNumber(value, Number);
          case "%i": return typeof value === "bigint" ? `${value}n` : toNumber(value, (value) => Number.parseInt(value, 10));
          case "%f": return toNumber(value, Number.parseFloat);
          case "%j": return toJson(value);
          case "%c": return "";
          default: return typeof value === "string" ? quoted(value) : show(value);
        }
      });
      if (first < args.length) text += " ";
    }
    return text + args.slice(first).map(show).join(" ");
  }

  // The width of a text in a terminal, as far as tables need it: wide characters take two columns, combining marks none.
  function columns(text) {
    let count = 0;
    for (const character of text) {
      if (/\p{Mark}/u.test(character)) continue;
      count += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(character) ? 2 : 1;
    }
    return count;
  }
  // A table as Node draws it.
  function draw(head, rows) {
    const widths = head.map((title, column) => Math.max(columns(title), ...rows.map((row) => columns(row[column] ?? ""))));
    const line = (cells) => `\u2502${cells.map((cell, column) => ` ${cell}${" ".repeat(widths[column] - columns(cell))} `).join("\u2502")}\u2502`;
    const rule = (left, between, right) => left + widths.map((width) => "\u2500".repeat(width + 2)).join(between) + right;
    return [rule("\u250c", "\u252c", "\u2510"), line(head), rule("\u251c", "\u253c", "\u2524"), ...rows.map(line), rule("\u2514", "\u2534", "\u2518")].join("\n");
  }
  // A cell shows strings in single quotes, and nested values only briefly.
  const cell = (value) => {
    if (typeof value === "string") return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
    const isPlain = typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 2;
    try {
      return inspect(value, isPlain ? MAX_DEPTH + 1 : MAX_DEPTH, 0, []).replaceAll("\n", " ");
    } catch (error) {
      return `[cannot be shown: ${error}]`;
    }
  };
  function table(data, properties) {
    if (typeof data !== "object" || data === null) return show(data);
    if (data instanceof Map) {
      const rows = first(data, MAX_ROWS).map(([key, value], index) => [String(index), cell(key), cell(value)]);
      return draw(["(iteration index)", "Key", "Values"], rows);
    }
    if (data instanceof Set) {
      const rows = first(data, MAX_ROWS).map((value, index) => [String(index), cell(value)]);
      return draw(["(iteration index)", "Values"], rows);
    }
    const isList = Array.isArray(data) || (ArrayBuffer.isView(data) && !(data instanceof DataView));
    const names = isList && data.length > MAX_ROWS ? Array.from({ length: MAX_ROWS }, (_, index) => String(index)) : Object.keys(data).slice(0, MAX_ROWS);
    const titles = properties === undefined ? [] : properties.map(String);
    const found = new Map(titles.map((title) => [title, true]));
    let hasValues = false;
    const items = names.map((name) => {
      const item = data[name];
      const isPrimitive = item === null || (typeof item !== "object" && typeof item !== "function");
      if (isPrimitive) hasValues = true;
      else if (properties === undefined) for (const key of Object.keys(item)) found.set(key, true);
      return { name, item, isPrimitive };
    });
    const keys = [...found.keys()];
    const rows = items.map(({ name, item, isPrimitive }) => {
      const cells = keys.map((key) => !isPrimitive && Object.hasOwn(item, key) ? cell(item[key]) : "");
      return [name, ...cells, ...(hasValues ? [isPrimitive ? cell(item) : ""] : [])];
    });
    return draw(["(index)", ...keys, ...(hasValues ? ["Values"] : [])], rows);
  }
  function showTable(data, properties) {
    try {
      return table(data, properties);
    } catch (error) {
      return `[cannot be shown: ${error}]`;
    }
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
    table: (value, properties) => write(INFO, showTable(value, properties)),
  });
})();
