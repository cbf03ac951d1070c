// `fetch`, `http`, `tcp`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_fetch, op_tcp_connect } = core.ops;
  const { NET, effect, abortable, invalid, milliseconds, options } = internals;

  class Headers {
    // All values of each name.
    #values = new Map();
    constructor(init) {
      if (init === undefined || init === null) return;
      const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
      for (const [name, value] of pairs) this.append(name, value);
    }
    append(name, value) {
      const lower = String(name).toLowerCase();
      const values = this.#values.get(lower);
      if (values === undefined) this.#values.set(lower, [String(value)]);
      else values.push(String(value));
    }
    set(name, value) {
      this.#values.set(String(name).toLowerCase(), [String(value)]);
    }
    get(name) {
      return this.#values.get(String(name).toLowerCase())?.join(", ") ?? null;
    }
    // A cookie may contain commas: these values are never joined.
    getSetCookie() {
      return [...this.#values.get("set-cookie") ?? []];
    }
    has(name) {
      return this.#values.has(String(name).toLowerCase());
    }
    delete(name) {
      this.#values.delete(String(name).toLowerCase());
    }
    forEach(callback) {
      for (const [name, value] of this) callback(value, name, this);
    }
    *keys() {
      for (const [name] of this) yield name;
    }
    *values() {
      for (const [, value] of this) yield value;
    }
    *entries() {
      for (const name of [...this.#values.keys()].sort()) {
        if (name === "set-cookie") for (const value of this.#values.get(name)) yield [name, value];
        else yield [name, this.#values.get(name).join(", ")];
      }
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    toJSON() {
      return Object.fromEntries(Array.from(this.#values, ([name, values]) => [name, values.join(", ")]));
    }
    [internals.INSPECT]() {
      return `Headers ${internals.inspect(this.toJSON())}`;
    }
  }

  class Response {
    #body;
    #used = false;
    constructor(head, body) {
      this.#body = body;
      this.status = head.status;
      this.statusText = head.status_text;
      this.ok = head.status >= 200 && head.status < 300;
      this.url = head.url;
      this.redirected = head.redirected;
      this.headers = new Headers(head.headers);
    }
    get bodyUsed() {
      return this.#used;
    }
    async bytes() {
      if (this.#used) throw new TypeError("the body was already read");
      this.#used = true;
      return this.#body;
    }
    async arrayBuffer() {
      const bytes = await this.bytes();
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    }
    async text() {
      return new TextDecoder().decode(await this.bytes());
    }
    async json() {
      return JSON.parse(await this.text());
    }
  }

  // A body as bytes, and the content type that goes with it.
  function encodeBody(body) {
    if (body === undefined || body === null) return [new Uint8Array(), null, false];
    if (body instanceof URLSearchParams) return [internals.encode(body.toString()), "application/x-www-form-urlencoded;charset=UTF-8", true];
    if (ArrayBuffer.isView(body)) return [new Uint8Array(body.buffer, body.byteOffset, body.byteLength), null, true];
    if (body instanceof ArrayBuffer) return [new Uint8Array(body), null, true];
    return [internals.encode(String(body)), "text/plain;charset=UTF-8", true];
  }

  function request(what, url, options, timeout) {
    const { method = "GET", headers, body, redirect = "follow", signal } = options;
    if (!["follow", "manual", "error"].includes(redirect)) throw invalid(`\`redirect\` must be "follow", "manual" or "error"`);
    const [bytes, type, hasBody] = encodeBody(body);
    const all = new Headers(headers);
    if (type !== null && !all.has("content-type")) all.set("content-type", type);
    const verb = String(method).toUpperCase();
    if (internals.planning() && !["GET", "HEAD"].includes(verb)) {
      internals.need(NET, what);
      internals.wouldRun({ kind: "request", name: `${verb} ${url}`, details: "from this machine" });
      const answer = { status: 200, status_text: "", url: String(url), redirected: false, headers: [["content-type", "application/json"]] };
      return Promise.resolve(new Response(answer, internals.encode("{}")));
    }
    const head = JSON.stringify({
      method: verb, url: String(url), headers: [...all], redirect, has_body: hasBody,
      timeout_ms: timeout < 0 ? null : timeout,
    });
    return effect(NET, what, (id) => abortable(signal, (key) => op_fetch(id, head, bytes, key)))
      .then((answer) => {
        // Length of the head, head, body.
        const size = new DataView(answer.buffer, answer.byteOffset).getUint32(0);
        return new Response(JSON.parse(internals.decode(answer.subarray(4, 4 + size))), answer.subarray(4 + size));
      });
  }

  internals.define("Headers", Headers);
  internals.define("fetch", function fetch(url, options) {
    return new Promise((resolve) => resolve(request("fetch", url, options ?? {}, -1)));
  });

  const PROBE_TIMEOUT = 5000;
  internals.define("http", Object.freeze({
    async get(url, given) {
      const { headers, signal, timeout = PROBE_TIMEOUT } = options(given, ["headers", "signal", "timeout"], "http.get");
      const started = Date.now();
      const response = await request("http.get", url, { headers, signal }, milliseconds(timeout, "timeout"));
      const body = await response.text();
      return { status: response.status, ok: response.ok, headers: response.headers, body, ms: Date.now() - started };
    },
  }));
  internals.define("tcp", Object.freeze({
    async connect(address, given) {
      const { timeout = PROBE_TIMEOUT } = options(given, ["timeout"], "tcp.connect");
      const limit = milliseconds(timeout, "timeout");
      const started = Date.now();
      const peer = await effect(NET, "tcp.connect", (id) => op_tcp_connect(id, String(address), limit));
      return { address: peer, ms: Date.now() - started };
    },
  }));
})();
