// `cluster.kv`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_kv, op_kv_watch, op_kv_watch_next, op_kv_watch_close } = core.ops;
  const { READ, KV_WRITE, codedError, effect, effectJson, bytesToHex, hexToBytes } = internals;

  function checkKey(key) {
    if (typeof key !== "string" || key === "") throw new TypeError("a key must be a text that is not empty");
    return key;
  }
  // Text as it is; bytes in hexadecimal.
  function fromValue(value) {
    if (typeof value === "string") return { text: value };
    if (value instanceof Uint8Array) return { hex: bytesToHex(value) };
    throw new TypeError("a value must be a text or a Uint8Array: use JSON.stringify for anything else");
  }
  const toValue = ({ text, hex }) => text ?? hexToBytes(hex);
  const toEntry = (entry) => ({ ...entry, value: toValue(entry.value) });
  const select = (key, options = {}) => ({ key: checkKey(key), prefix: Boolean(options.prefix), limit: options.limit ?? 0 });

  const OPERATORS = ["=", "!=", ">", "<"];
  function fromCompare({ key, op = "=", ...target }) {
    const names = Object.keys(target);
    if (names.length !== 1 || !["value", "version", "create_revision", "mod_revision"].includes(names[0])) {
      throw new TypeError("a comparison has a key and one of value, version, create_revision, mod_revision");
    }
    if (!OPERATORS.includes(op)) throw new TypeError(`\`op\` is one of ${OPERATORS.join(" ")}`);
    const [name] = names;
    return { key: checkKey(key), op, target: { [name]: name === "value" ? fromValue(target.value) : target[name] } };
  }
  function fromOp(step) {
    if (step.get !== undefined) return { get: select(step.get, step) };
    if (step.put !== undefined) return { put: { key: checkKey(step.put), value: fromValue(step.value), lease: step.lease ?? 0 } };
    if (step.delete !== undefined) return { delete: select(step.delete, step) };
    throw new TypeError("a step is { get: key }, { put: key, value } or { delete: key }");
  }
  const toResult = (result) => result?.get === undefined ? result : { get: result.get.map(toEntry) };

  // Watches that are about to begin. What the script does after it made one comes after the watch's beginning.
  const beginning = new Set();
  function begin(opening) {
    beginning.add(opening);
    const begun = () => void beginning.delete(opening);
    opening.then(begun, begun);
  }
  internals.watchesBegun = () => beginning.size === 0 ? undefined : Promise.allSettled([...beginning]);

  const call = (capability, what, request) =>
    effectJson(capability, what, async (id) => {
      await internals.watchesBegun();
      return op_kv(id, JSON.stringify(request));
    });

  class Kv {
    async get(key) {
      const [entry] = await call(READ, "kv.get", { get: select(key) });
      return entry === undefined ? null : toEntry(entry);
    }
    async list(prefix, options) {
      return (await call(READ, "kv.list", { get: select(prefix, { limit: options?.limit, prefix: true }) })).map(toEntry);
    }
    async put(key, value, options) {
      return call(KV_WRITE, "kv.put", { put: { key: checkKey(key), value: fromValue(value), lease: options?.lease ?? 0 } });
    }
    async delete(key, options) {
      return call(KV_WRITE, "kv.delete", { delete: select(key, options) });
    }
    async txn({ if: compare = [], then: success = [], else: failure = [] }) {
      const request = { compare: compare.map(fromCompare), success: success.map(fromOp), failure: failure.map(fromOp) };
      const result = await call(KV_WRITE, "kv.txn", { txn: request });
      return { ...result, responses: result.responses.map(toResult) };
    }
    // Begins now: what is written after it is seen, however late the first `next` comes.
    watch(key, options = {}) {
      const { start_revision = 0, signal } = options;
      if (!Number.isSafeInteger(start_revision) || start_revision < 0) {
        throw codedError(`\`start_revision\` must be a revision, or 0 for what comes from now on, not ${start_revision}`, "INVALID", TypeError);
      }
      const request = JSON.stringify({ ...select(key, { prefix: options.prefix }), start_revision });
      const opening = effect(READ, "kv.watch", (id) => op_kv_watch(id, request));
      begin(opening);

      const done = { done: true, value: undefined };
      let ended = false;
      let gone;
      const end = new Promise((resolve) => { gone = resolve; });
      const leave = () => {
        if (!ended) {
          ended = true;
          signal?.removeEventListener("abort", onabort);
          gone("");
          opening.then(op_kv_watch_close, () => {});
        }
        return done;
      };
      let aborted = false;
      const onabort = () => {
        aborted = !ended;
        leave();
      };
      if (signal?.aborted) onabort();
      else signal?.addEventListener("abort", onabort);

      return {
        async next() {
          if (!ended) {
            // Read first, so that an error of the opening is the watch's own.
            const reading = effect(READ, "kv.watch", async (id) => op_kv_watch_next(id, await opening));
            const text = await Promise.race([end, reading]);
            if (text === "") leave();
            else if (!ended) {
              const event = JSON.parse(text);
              return { done: false, value: event.type === "put" ? { ...event, value: toValue(event.value) } : event };
            }
          }
          if (aborted) throw signal.reason;
          return done;
        },
        async return() {
          return leave();
        },
        [Symbol.asyncIterator]() {
          return this;
        },
      };
    }
  }

  internals.Kv = Kv;
})();
