// `cluster.kv`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_kv, op_kv_watch, op_kv_watch_next, op_kv_watch_close, op_from_hex, op_to_hex } = core.ops;
  const { READ, KV_WRITE, effect, effectJson, invalid, options } = internals;

  function checkKey(key) {
    if (typeof key !== "string" || key === "") throw invalid("key must be a non-empty string");
    return key;
  }
  // Text as it is; bytes in hexadecimal.
  function fromValue(value) {
    if (typeof value === "string") return { text: value };
    if (value instanceof Uint8Array) return { hex: op_to_hex(value) };
    throw invalid("value must be a string or a Uint8Array: use JSON.stringify for anything else");
  }
  const toValue = ({ text, hex }) => text ?? op_from_hex(hex);
  const toEntry = (entry) => ({ ...entry, value: toValue(entry.value) });
  const select = (key, { prefix, limit } = {}) => ({ key: checkKey(key), prefix: Boolean(prefix), limit: limit ?? 0 });

  const OPERATORS = ["=", "!=", ">", "<"];
  function fromCompare({ key, op = "=", ...target }) {
    const names = Object.keys(target);
    if (names.length !== 1 || !["value", "version", "create_revision", "mod_revision"].includes(names[0])) {
      throw invalid("a comparison needs a key and one of value, version, create_revision, mod_revision");
    }
    if (!OPERATORS.includes(op)) throw invalid(`\`op\` must be one of ${OPERATORS.join(" ")}`);
    const [name] = names;
    return { key: checkKey(key), op, target: { [name]: name === "value" ? fromValue(target.value) : target[name] } };
  }
  function fromOp(step) {
    if (step?.get !== undefined) return { get: select(step.get, options(step, ["get", "prefix", "limit"], "get of kv.txn")) };
    if (step?.put !== undefined) {
      const { value, lease = 0 } = options(step, ["put", "value", "lease"], "put of kv.txn");
      return { put: { key: checkKey(step.put), value: fromValue(value), lease } };
    }
    if (step?.delete !== undefined) return { delete: select(step.delete, options(step, ["delete", "prefix"], "delete of kv.txn")) };
    throw invalid("a step must be { get: key }, { put: key, value } or { delete: key }");
  }
  const toResult = (result) => result?.get === undefined ? result : { get: result.get.map(toEntry) };

  // Watches that are about to start. Whatever the script does after it made one happens after the watch has started.
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
    async get(key, given) {
      options(given, [], "kv.get");
      const [entry] = await call(READ, "kv.get", { get: select(key) });
      return entry === undefined ? null : toEntry(entry);
    }
    async list(prefix, given) {
      const { limit } = options(given, ["limit"], "kv.list");
      return (await call(READ, "kv.list", { get: select(prefix, { limit, prefix: true }) })).map(toEntry);
    }
    async put(key, value, given) {
      const { lease = 0 } = options(given, ["lease"], "kv.put");
      return call(KV_WRITE, "kv.put", { put: { key: checkKey(key), value: fromValue(value), lease } });
    }
    async delete(key, given) {
      return call(KV_WRITE, "kv.delete", { delete: select(key, options(given, ["prefix"], "kv.delete")) });
    }
    async txn(given) {
      const { if: compare = [], then: success = [], else: failure = [] } = options(given, ["if", "then", "else"], "kv.txn");
      const request = { compare: compare.map(fromCompare), success: success.map(fromOp), failure: failure.map(fromOp) };
      const result = await call(KV_WRITE, "kv.txn", { txn: request });
      return { ...result, responses: result.responses.map(toResult) };
    }
    // Starts now: later writes are seen, however late the first `next` comes.
    watch(key, given) {
      const { prefix, start_revision = 0, signal } = options(given, ["prefix", "start_revision", "signal"], "kv.watch");
      if (!Number.isSafeInteger(start_revision) || start_revision < 0) {
        throw invalid(`\`start_revision\` must be a revision, or 0 for changes from now on, not ${start_revision}`);
      }
      const request = JSON.stringify({ ...select(key, { prefix }), start_revision });
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
