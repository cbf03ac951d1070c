// `crypto.randomUUID`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_random_uuid } = core.ops;
  internals.define("crypto", Object.freeze({ randomUUID: () => op_random_uuid() }));
})();
