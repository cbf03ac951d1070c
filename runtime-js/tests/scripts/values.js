// Throws, rejects, returns and passes on whatever value it is given, in every place that a script has.
export function init() {
  return new Cluster({ name: "c" });
}

export const alive = () => 1;

const cluster = () => new Cluster({ name: "c" });
const tampered = [[Object.prototype, "cause"], [Object.prototype, "code"], [Object.prototype, "toJSON"],
  [Error, Symbol.hasInstance], [Error, "prepareStackTrace"], [Object.prototype, "then"]];
const restore = () => {
  for (const [object, key] of tampered) delete object[key];
};
const getter = (object, key, value) => Object.defineProperty(object, key, { configurable: true, get() { throw value; } });

const places = {
  throw: (v) => { throw v; },
  async later(v) { await null; throw v; },
  reject: (v) => Promise.reject(v),
  returned: (v) => v,
  thenable: (v) => ({ then(_, reject) { reject(v); } }),
  any: (v) => Promise.any([Promise.reject(v)]),
  cause: (v) => { throw new Error("outer", { cause: v }); },
  errors: (v) => { throw new AggregateError([v, v], "several"); },
  errors_replaced: (v) => { throw Object.assign(new AggregateError([], "several"), { errors: v }); },
  message: (v) => { throw Object.assign(new Error("e"), { message: v, code: v }); },
  name: (v) => { throw Object.assign(new Error("e"), { name: v, stack: v }); },
  getters: (v) => { throw getter(getter(getter(new Error("e"), "stack", v), "message", v), "cause", v); },
  async unhandled(v) { Promise.reject(v); await delay(1); },
  async timer(v) { setTimeout(() => { throw v; }, 0); await delay(1); },
  async interval(v) { setInterval(() => { throw v; }, 1); await delay(2); },
  async microtask(v) { queueMicrotask(() => { throw v; }); await null; },
  async left_behind(v) { setTimeout(() => { throw v; }, 0); Promise.reject(v); },
  async reason(v) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(v), 0);
    await delay(1000, { signal: controller.signal });
  },
  async listener(v) {
    const controller = new AbortController();
    controller.signal.addEventListener("abort", () => { throw v; });
    controller.signal.onabort = () => { throw v; };
    AbortSignal.any([controller.signal]).onabort = () => { throw v; };
    controller.abort(v);
    controller.signal.throwIfAborted();
  },
  async operation(v) {
    const controller = new AbortController();
    controller.abort(v);
    await fetch("http://127.0.0.1:1/", { signal: controller.signal });
  },
  console: (v) => {
    console.log(v, "%s %d %i %f %j %o", v);
    console.log("%s %d %i %f %j %o", v, v, v, v, v, v);
  },
  import: (v) => import(v),
  symbol: (v) => { Symbol.for(v); },
  clone: (v) => structuredClone(v),
  url: (v) => new URL(v, v),
  params: (v) => new URLSearchParams(v),
  encode: (v) => new TextEncoder().encode(v),
  decode: (v) => new TextDecoder().decode(v),
  delay: (v) => delay(v, v),
  after: (v) => { setTimeout(() => {}, v); },
  fetch: (v) => fetch(v, v),
  tcp: (v) => tcp.connect(v, v),
  http: (v) => http.get(v, v),
  ask: (v) => ask("?", { default: v }),
  kv: (v) => cluster().kv.put(v, v),
  txn: (v) => cluster().kv.txn(v),
  make: (v) => new Cluster(v),
  provider: (v) => LocalProvider.init(v),
  scale: (v) => cluster().scale(v),
  start: (v) => cluster().start_instance(v),
  deploy: (v) => cluster().deploy(v),
  command: (v) => { $`echo ${v}`; },
  registry: (v) => {
    const registry = new FinalizationRegistry(() => { throw v; });
    registry.register({}, 1);
  },
  stack_trace: (v) => {
    Error.prepareStackTrace = () => { throw v; };
    throw new Error("e");
  },
  inherited_cause: (v) => {
    Object.defineProperty(Object.prototype, "cause", { configurable: true, value: v });
    throw new Error("e");
  },
  inherited_getter: (v) => {
    getter(Error.prototype, "cause", v);
    getter(Object.prototype, "code", v);
    throw new Error("e");
  },
  inherited_json: (v) => {
    Object.defineProperty(Object.prototype, "toJSON", { configurable: true, value: () => { throw v; } });
    return { a: 1 };
  },
  has_instance: (v) => {
    Object.defineProperty(Error, Symbol.hasInstance, { configurable: true, value: () => { throw v; } });
    throw new Error("e");
  },
  replaced: (v) => {
    const names = [[Symbol, "for"], [Object, "getOwnPropertyDescriptor"], [Reflect, "get"], [Promise, "resolve"], [Array, "from"]];
    for (const [object, key] of names) {
      try { object[key] = v; } catch { /* it is locked */ }
    }
    for (const name of ["Error", "TypeError", "Symbol", "Object", "Promise", "Reflect"]) {
      try { globalThis[name] = v; } catch { /* it is locked */ }
    }
    throw new Error("e");
  },
  async inherited_then(v) {
    getter(Object.prototype, "then", v);
    await cluster().nodes();
  },
};
export const names = () => Object.keys(places);

const make = (text) => {
  restore();
  return (0, eval)(`(${text})`);
};
export const plain = (place, text) => places[place](make(text));
export async function asynchronous(place, text) {
  await null;
  return await places[place](make(text));
}
export async function concurrent(place, text) {
  const value = make(text);
  await Promise.all([places[place](value), cluster().nodes(), places[place](value)]);
}
