// `env`: read when first used, since most scripts never do.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_env } = core.ops;
  Object.defineProperty(globalThis, "env", {
    configurable: true,
    enumerable: false,
    get() {
      const env = Object.freeze(JSON.parse(op_env()));
      internals.define("env", env);
      return env;
    },
    set(value) {
      internals.define("env", value);
    },
  });
})();
