// How the host calls scripts. Runs last, and removes what scripts must not see.
"use strict";
(() => {
  const { core, internals, primordials } = globalThis.__bootstrap;
  const { SafeMap, SafeSet } = primordials;
  const { ops } = core;
  const { makeNode, clusterHandle, defaultCluster } = internals;

  const versions = new SafeMap(); // number: { exports, cluster }
  const calls = new SafeMap(); // id: { call, controller }

  const run = async (id, body) => {
    let result;
    try {
      result = await body();
    } catch (error) {
      return internals.failed(id, error);
    }
    ops.op_call_done(id, typeof result === "string" ? result : "");
  };

  function begin(id, hook, capabilities) {
    const call = { id, capabilities, hook, revoked: null, commands: new Set(), timers: new SafeSet() };
    const controller = new AbortController();
    calls.set(id, { call, controller });
    core.setAsyncContext(call);
    return controller.signal;
  }

  // A command that was made and never awaited did not run, which would go unnoticed.
  function refuseForgotten(id) {
    for (const command of calls.get(id)?.call.commands ?? []) throw command[internals.FORGOTTEN]();
  }

  const host = {
    // Evaluates a module and its imports, and makes it callable; returns the names of its functions.
    load(version, specifier, id, capabilities) {
      begin(id, "import", capabilities);
      run(id, async () => {
        const exports = await import(specifier);
        versions.set(version, { exports, cluster: undefined });
        return JSON.stringify(Object.keys(exports).filter((name) => typeof exports[name] === "function").sort());
      });
      core.setAsyncContext(undefined);
    },
    forget: (version) => void versions.delete(version),

    init(version, id, capabilities) {
      const script = versions.get(version);
      begin(id, "init", capabilities);
      run(id, async () => {
        const cluster = await script.exports.init();
        refuseForgotten(id);
        const handle = clusterHandle(cluster);
        if (handle === undefined) {
          throw internals.codedError("`init` must return a Cluster", "INVALID", TypeError);
        }
        script.cluster = cluster;
        return String(handle);
      });
      core.setAsyncContext(undefined);
    },

    call(version, hook, id, capabilities, args) {
      const script = versions.get(version);
      const signal = begin(id, hook, capabilities);
      run(id, async () => {
        const values = JSON.parse(args).map(({ type, value }) => {
          switch (type) {
            case "cluster":
              script.cluster ??= defaultCluster();
              if (script.cluster === undefined) {
                throw internals.codedError(`\`${hook}\` needs a Cluster, but the script has no \`init\` that returned one`, "INVALID", TypeError);
              }
              return script.cluster;
            case "node":
              return makeNode(clusterHandle(script.cluster), value);
            case "nodes":
              return value.map((node) => makeNode(clusterHandle(script.cluster), node));
            case "signal":
              return signal;
            default:
              return value;
          }
        });
        const result = await script.exports[hook](...values);
        refuseForgotten(id);
        return result === undefined ? "" : JSON.stringify(result) ?? "";
      });
      core.setAsyncContext(undefined);
    },

    abort(id, reason) {
      const entry = calls.get(id);
      if (entry === undefined) return;
      core.setAsyncContext(entry.call);
      entry.controller.abort(internals.abortError(reason));
      core.setAsyncContext(undefined);
    },
    // Ends the call and everything that it has started: its timers end, and further effects are refused. `abort`: it did not end
    // normally, and its signal aborts.
    end(id, revoked, abort) {
      const entry = calls.get(id);
      if (entry === undefined) return;
      calls.delete(id);
      entry.call.revoked = revoked;
      core.setAsyncContext(entry.call);
      if (abort !== 0) entry.controller.abort(internals.abortError(revoked));
      internals.endTimers(entry.call);
      core.setAsyncContext(undefined);
    },
  };

  for (const name of ["Deno", "__bootstrap", "__infra", "__timers", "Temporal", "WebAssembly", "gc", "ShadowRealm", "DOMException", "InternalError"]) {
    delete globalThis[name];
  }
  // The engine's own.
  for (const name of Reflect.ownKeys(globalThis)) {
    if (String(name).startsWith("__v8x")) delete globalThis[name];
  }
  host.thrown = internals.thrown;
  ops.op_install_host(host);
})();
