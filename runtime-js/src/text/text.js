// `TextEncoder`, `TextDecoder` (UTF-8), `structuredClone`, `performance`. (`atob` and `btoa` are the engine's.)
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_decode_utf8 } = core.ops;

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(text = "") {
      return core.encode(String(text));
    }
  }

  class TextDecoder {
    #fatal;
    #ignoreBOM;
    constructor(label = "utf-8", options = {}) {
      if (!["utf-8", "utf8"].includes(String(label).toLowerCase())) throw new RangeError(`TextDecoder knows utf-8 only, not \`${label}\``);
      this.#fatal = Boolean(options.fatal);
      this.#ignoreBOM = Boolean(options.ignoreBOM);
    }
    get encoding() {
      return "utf-8";
    }
    get fatal() {
      return this.#fatal;
    }
    decode(bytes = new Uint8Array()) {
      const view = ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
      const text = op_decode_utf8(view, this.#fatal);
      return !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
  }

  internals.define("TextEncoder", TextEncoder);
  internals.define("TextDecoder", TextDecoder);
  // The engine's own counts from the start of the machine: its origin is no date.
  const clock = globalThis.performance;
  const timeOrigin = Date.now() - clock.now();
  internals.define("performance", Object.freeze({
    now: () => clock.now(),
    timeOrigin,
  }));
  internals.define("structuredClone", function structuredClone(value) {
    return core.structuredClone(value);
  });
})();
