// `URL`, `URLSearchParams`: the host parses, this stores the parts.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_url_parse, op_url_set, op_form_parse, op_form_serialize } = core.ops;

  const CHANGED = Symbol("changed");

  class URLSearchParams {
    #pairs = [];
    [CHANGED] = null;
    constructor(init = "") {
      if (typeof init === "string") this.#pairs = JSON.parse(op_form_parse(init.replace(/^\?/, "")));
      else if (typeof init[Symbol.iterator] === "function") this.#pairs = Array.from(init, ([k, v]) => [String(k), String(v)]);
      else this.#pairs = Object.entries(init).map(([k, v]) => [k, String(v)]);
    }
    #change(pairs) {
      this.#pairs = pairs;
      this[CHANGED]?.();
    }
    get size() {
      return this.#pairs.length;
    }
    append(name, value) {
      this.#change([...this.#pairs, [String(name), String(value)]]);
    }
    delete(name) {
      this.#change(this.#pairs.filter(([k]) => k !== String(name)));
    }
    get(name) {
      return this.#pairs.find(([k]) => k === String(name))?.[1] ?? null;
    }
    getAll(name) {
      return this.#pairs.filter(([k]) => k === String(name)).map(([, v]) => v);
    }
    has(name) {
      return this.#pairs.some(([k]) => k === String(name));
    }
    set(name, value) {
      const at = this.#pairs.findIndex(([k]) => k === String(name));
      if (at < 0) return this.append(name, value);
      this.#change(this.#pairs.filter(([k], i) => i <= at || k !== String(name)).map((pair, i) => i === at ? [pair[0], String(value)] : pair));
    }
    sort() {
      this.#change([...this.#pairs].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
    }
    forEach(callback) {
      for (const [k, v] of this.#pairs) callback(v, k, this);
    }
    keys() {
      return this.#pairs.map(([k]) => k).values();
    }
    values() {
      return this.#pairs.map(([, v]) => v).values();
    }
    entries() {
      return this.#pairs.map((pair) => [...pair]).values();
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    toString() {
      return op_form_serialize(JSON.stringify(this.#pairs));
    }
  }

  class URL {
    #parts;
    #params = null;
    constructor(url, base) {
      const parsed = op_url_parse(String(url), base === undefined ? "" : String(base));
      if (parsed === "") throw internals.codedError(`not a URL: \`${url}\``, "ERR_INVALID_URL", TypeError);
      this.#parts = JSON.parse(parsed);
    }
    static canParse(url, base) {
      return op_url_parse(String(url), base === undefined ? "" : String(base)) !== "";
    }
    static parse(url, base) {
      return URL.canParse(url, base) ? new URL(url, base) : null;
    }
    get origin() {
      return this.#parts.origin;
    }
    get searchParams() {
      if (this.#params === null) {
        this.#params = new URLSearchParams(this.#parts.search);
        this.#params[CHANGED] = () => this.#set("search", this.#params.toString());
      }
      return this.#params;
    }
    #set(part, value) {
      this.#parts = JSON.parse(op_url_set(this.#parts.href, part, String(value)));
    }
    static {
      for (const part of ["href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
        Object.defineProperty(URL.prototype, part, {
          configurable: true,
          enumerable: true,
          get() {
            return this.#parts[part];
          },
          set(value) {
            this.#set(part, value);
            if (part === "href" || part === "search") this.#params = null;
          },
        });
      }
    }
    toString() {
      return this.#parts.href;
    }
    toJSON() {
      return this.#parts.href;
    }
    [internals.INSPECT]() {
      return `URL { ${this.#parts.href} }`;
    }
  }

  internals.define("URLSearchParams", URLSearchParams);
  internals.define("URL", URL);
})();
