// `ask`: a question to the operator who runs the command.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_ask } = core.ops;

  internals.define("ask", function ask(question, options) {
    if (typeof question !== "string") throw new TypeError("`ask` needs a question");
    const answer = options?.default === undefined ? "" : JSON.stringify(options.default);
    return internals.effectJson(internals.ASK, "ask", (id) => op_ask(id, question, answer));
  });
})();
