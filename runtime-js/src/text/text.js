// `TextEncoder`, `TextDecoder` (UTF-8), `structuredClone`, `performance`. (`atob` and `btoa` are the engine's.)
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_decode_utf8, op_utf8_into, op_utf8_length } = core.ops;

  // If an operation of the engine cannot allocate its result, the process ends. So large values are allocated here, or piece by
  // piece.
  const PIECE = 1 << 20;
  function encode(text) {
    if (text.length <= PIECE) return core.encode(text);
    const bytes = new Uint8Array(op_utf8_length(text));
    op_utf8_into(text, bytes);
    return bytes;
  }
  function decode(bytes, fatal) {
    if (bytes.length <= PIECE) return op_decode_utf8(bytes, fatal, 0);
    let text = "";
    for (let start = 0; start < bytes.length;) {
      let end = Math.min(start + PIECE, bytes.length);
      // Not within a character, whose first byte is at most three before. Four continuation bytes in a row are invalid anyway.
      let back = 0;
      while (back < 3 && (bytes[end - back] & 0xc0) === 0x80) back++;
      if (end < bytes.length && (bytes[end - back] & 0xc0) !== 0x80) end -= back;
      text += op_decode_utf8(bytes.subarray(start, end), fatal, start);
      start = end;
    }
    return text;
  }

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(text = "") {
      return encode(String(text));
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
      const text = decode(view, this.#fatal);
      return !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
  }

  Object.assign(internals, { encode, decode });
  internals.define("TextEncoder", TextEncoder);
  internals.define("TextDecoder", TextDecoder);
  // The engine's own counts from the machine's boot: its origin is not a date.
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
