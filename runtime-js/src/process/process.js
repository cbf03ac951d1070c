// `$`: a command on the machine that runs the script.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_process_run } = core.ops;

  const invalid = (message) => internals.codedError(message, "INVALID", TypeError);

  // A value in a command: a string, or an object with its own string form. Anything else is a mistake that would run another command.
  function textOf(value) {
    switch (typeof value) {
      case "string":
        return value;
      case "number":
      case "bigint":
      case "boolean":
        return String(value);
      case "object":
        if (value === null) break;
        if (Array.isArray(value)) throw invalid("a command cannot contain an array within an array");
        if (value instanceof Command) {
          throw invalid(`\`${value.command}\` was used in another command before it ran: \`await\` is missing before it`);
        }
        if (typeof value.then === "function") throw invalid("a command cannot contain a promise: `await` is missing before it");
        if (typeof value.toString === "function" && value.toString !== Object.prototype.toString) return String(value);
        throw invalid("a command cannot contain an object: use JSON.stringify, or one of its fields");
    }
    const what = typeof value === "function" || typeof value === "symbol" ? `a ${typeof value}` : `\`${value}\``;
    throw invalid(`a command cannot contain ${what}`);
  }

  const quote = (value) => {
    const text = textOf(value);
    return /^[A-Za-z0-9_\/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
  };

  // Results of commands that were only planned.
  const planned = new WeakSet();

  // Starts when it is awaited, so that its options can be set before.
  class Command {
    #command;
    #site;
    #fails = true;
    #pipefail = false;
    #timeout = undefined;
    #signal = undefined;
    #stdin = undefined;
    #cwd = undefined;
    #env = {};
    #running = null;
    // Where it was made.
    #call = internals.current();

    constructor(command, site) {
      this.#command = command;
      this.#site = site;
      this.#call.commands?.add(this);
    }
    get command() {
      this.#seen();
      return this.#command;
    }
    nothrow() {
      this.#fails = false;
      return this;
    }
    pipefail() {
      this.#pipefail = true;
      return this;
    }
    timeout(after) {
      const limit = internals.milliseconds(after, "timeout");
      this.#timeout = limit < 0 || limit === Infinity ? undefined : limit;
      return this;
    }
    signal(signal) {
      this.#signal = signal;
      return this;
    }
    stdin(data) {
      if (typeof data === "string") this.#stdin = internals.encode(data);
      else if (data instanceof Uint8Array) this.#stdin = data.slice();
      else throw invalid("`stdin` must be a string or a Uint8Array");
      return this;
    }
    cwd(folder) {
      if (typeof folder !== "string" || folder === "") throw invalid("`cwd` must be a non-empty path");
      this.#cwd = folder;
      return this;
    }
    env(variables) {
      if (typeof variables !== "object" || variables === null) throw invalid("`env` must be an object of names and values");
      for (const [name, value] of Object.entries(variables)) {
        if (name === "" || /[=\0]/.test(name)) throw invalid(`\`${name}\` cannot be the name of a variable`);
        this.#env[name] = value === undefined ? null : textOf(value);
      }
      return this;
    }
    // It was inspected or run, so it was not forgotten.
    #seen() {
      this.#call.commands?.delete(this);
    }
    // An error at the place of the command, if it never ran.
    [internals.FORGOTTEN]() {
      const message = `\`${this.#command}\` was not run: \`await\` is missing before it`;
      return internals.moveTo(this.#site, invalid(message));
    }
    #run() {
      this.#seen();
      return this.#running ??= (async () => {
        let output;
        try {
          const id = internals.need(internals.PROCESS, "$");
          if (internals.planning()) {
            internals.wouldRun({ kind: "command", name: this.#command, details: "on this machine" });
            const result = new CommandResult({ code: 0, stdout: "", stderr: "", truncated: false }, this.#command);
            planned.add(result);
            return result;
          }
          const request = JSON.stringify({
            command: this.#command, cwd: this.#cwd, env: this.#env, has_stdin: this.#stdin !== undefined,
            pipefail: this.#pipefail, timeout_ms: this.#timeout,
          });
          await internals.watchesBegun();
          const stdin = this.#stdin ?? new Uint8Array();
          output = JSON.parse(await internals.abortable(this.#signal, (key) => op_process_run(id, request, stdin, key)));
        } catch (error) {
          throw internals.located(error, this.#site);
        }
        const result = new CommandResult(output, this.#command);
        internals.warnTruncated(`\`${this.#command}\``, result);
        if (result.code !== 0 && this.#fails) {
          const last = result.stderr.trimEnd().split("\n").at(-1);
          const error = internals.codedError(`\`${this.#command}\` ended with ${result.code}${last === "" ? "" : `: ${last}`}`, "EXIT");
          const { code: exit_code, stdout, stderr, truncated } = result;
          Object.assign(error, { exit_code, stdout, stderr, truncated });
          throw internals.moveTo(this.#site, error);
        }
        return result;
      })();
    }
    then(resolved, rejected) {
      return this.#run().then(resolved, rejected);
    }
    catch(rejected) {
      return this.#run().catch(rejected);
    }
    finally(done) {
      return this.#run().finally(done);
    }
    text() {
      return this.#run().then(String);
    }
    lines() {
      return this.text().then((text) => text === "" ? [] : text.split("\n"));
    }
    json() {
      // In a plan no command has run: every field of its answer is `undefined`.
      return this.#run().then((result) => planned.has(result) ? {} : JSON.parse(result));
    }
  }

  class CommandResult {
    #command;
    constructor({ code, stdout, stderr, truncated }, command) {
      Object.assign(this, { code, stdout, stderr, truncated });
      this.#command = command;
    }
    // Truncated output never passes for the whole of it.
    toString() {
      if (this.truncated) throw internals.codedError(`\`${this.#command}\` wrote too much output: \`stdout\` has only its beginning`, "TRUNCATED");
      return this.stdout.trimEnd();
    }
  }

  // `sh` gets the text as it stands between the backticks, backslashes too.
  internals.define("$", function $(strings, ...values) {
    if (!Array.isArray(strings) || !Array.isArray(strings.raw)) throw new TypeError("`$` is a template tag: $`command`");
    const site = new Error();
    let command = strings.raw[0];
    values.forEach((value, i) => {
      command += (Array.isArray(value) ? value.map(quote).join(" ") : quote(value)) + strings.raw[i + 1];
    });
    return new Command(command, site);
  });
})();
