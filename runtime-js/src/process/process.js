// `$`: a command on the machine that runs the script.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_process_run } = core.ops;

  const quote = (value) => {
    const text = String(value);
    return /^[A-Za-z0-9_\/:=.,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
  };

  // Starts when it is awaited, so that its options can be set before.
  class Command {
    #command;
    #site;
    #fails = true;
    #timeout = -1;
    #signal = undefined;
    #running = null;

    constructor(command, site) {
      this.#command = command;
      this.#site = site;
    }
    get command() {
      return this.#command;
    }
    nothrow() {
      this.#fails = false;
      return this;
    }
    timeout(after) {
      this.#timeout = internals.milliseconds(after, "timeout");
      return this;
    }
    signal(signal) {
      this.#signal = signal;
      return this;
    }
    #run() {
      return this.#running ??= (async () => {
        let output;
        try {
          const id = internals.need(internals.PROCESS, "$");
          output = JSON.parse(await internals.abortable(this.#signal, (key) => op_process_run(id, this.#command, this.#timeout, key)));
        } catch (error) {
          throw internals.located(error, this.#site);
        }
        const result = new CommandResult(output);
        if (result.code !== 0 && this.#fails) {
          const last = result.stderr.trimEnd().split("\n").at(-1);
          const error = internals.codedError(`\`${this.#command}\` ended with ${result.code}${last === "" ? "" : `: ${last}`}`, "EXIT");
          Object.assign(error, { exit_code: result.code, stdout: result.stdout, stderr: result.stderr });
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
      return this.text().then(JSON.parse);
    }
  }

  class CommandResult {
    constructor({ code, stdout, stderr, truncated }) {
      Object.assign(this, { code, stdout, stderr, truncated });
    }
    toString() {
      return this.stdout.trimEnd();
    }
  }

  internals.define("$", function $(strings, ...values) {
    if (!Array.isArray(strings) || !Array.isArray(strings.raw)) throw new TypeError("`$` is a template tag: $`command`");
    const site = new Error();
    let command = strings[0];
    values.forEach((value, i) => {
      command += (Array.isArray(value) ? value.map(quote).join(" ") : quote(value)) + strings[i + 1];
    });
    return new Command(command, site);
  });
})();
