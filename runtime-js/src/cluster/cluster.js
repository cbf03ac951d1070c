// The providers, `Cluster`, `Node`.
"use strict";
(() => {
  const { core, internals } = globalThis.__bootstrap;
  const { op_provider_init, op_cluster_default, op_cluster_define, op_cluster_call } = core.ops;
  const { READ, CLOUD, NODES, INSPECT, effectJson, define, invalid, milliseconds, options } = internals;

  function plainObject(value, what) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${what} must get an object of options`);
    return value;
  }
  function text(value, what) {
    if (typeof value !== "string" || value === "") throw invalid(`${what} must be a non-empty string`);
    return value;
  }
  const call = (capability, handle, method, args) =>
    effectJson(capability, method, async (id) => {
      const text = JSON.stringify(args);
      await internals.watchesBegun();
      return op_cluster_call(id, handle, method, text);
    });

  const KEY = Symbol("provider");
  let specOf;
  class Provider {
    #spec;
    constructor(key, spec) {
      if (key !== KEY) throw new TypeError(`use \`await ${new.target.name}.init({ ... })\``);
      this.#spec = spec;
    }
    static {
      specOf = (value) => typeof value === "object" && value !== null && #spec in value ? value.#spec : undefined;
    }
    get name() {
      return this.#spec.name;
    }
    get kind() {
      return this.#spec.kind;
    }
    toString() {
      return `${this.constructor.name}(${this.name})`;
    }
    toJSON() {
      return { kind: this.kind, name: this.name };
    }
    [INSPECT]() {
      return this.toString();
    }
  }

  // Options are copied as JSON: only data can be replicated to other nodes.
  const init = (Class, kind) =>
    function init(options) {
      const data = JSON.parse(JSON.stringify(plainObject(options, `${Class.name}.init`)));
      text(data.name, `\`name\` of ${Class.name}.init`);
      return effectJson(0, `${Class.name}.init`, (id) => op_provider_init(id, JSON.stringify({ kind, name: data.name, options: data })))
        .then((info) => new Class(KEY, { kind, name: info.name, options: data }));
    };
  class AwsProvider extends Provider {}
  class LocalProvider extends Provider {}
  class HostsProvider extends Provider {}
  for (const [Class, kind] of [[AwsProvider, "aws"], [LocalProvider, "local"], [HostsProvider, "hosts"]]) {
    Object.defineProperty(Class, "init", { value: init(Class, kind), writable: true, configurable: true });
    define(Class.name, Class);
  }

  // The nodes' limit: `MAX_TIMEOUT` in `discod/src/agent/commands.rs`.
  const LONGEST_RUN = 3_600_000;

  let makeNode;
  class Node {
    #handle;
    constructor(key, handle, info) {
      if (key !== KEY) throw new TypeError("a Node comes from its Cluster, as by `nodes()`");
      this.#handle = handle;
      for (const [name, value] of Object.entries(info)) {
        Object.defineProperty(this, name, { value, enumerable: true, writable: false, configurable: false });
      }
    }
    static {
      makeNode = (handle, info) => new Node(KEY, handle, info);
    }
    #call(method, args) {
      if (this.#handle === undefined) throw invalid("this Node has no Cluster: the script has no `init` that returned one");
      return call(NODES, this.#handle, method, args);
    }
    async run(command, given) {
      const { timeout } = options(given, ["timeout"], "node.run");
      const timeout_ms = milliseconds(timeout, "timeout");
      if (timeout_ms > LONGEST_RUN) throw invalid(`\`timeout\` of node.run is ${LONGEST_RUN} ms at most, not ${timeout}`);
      const result = await this.#call("node.run", { node_id: this.id, command: text(command, "`command`"), timeout_ms });
      internals.warnTruncated(`\`${command}\` on node ${this.id}`, result);
      return result;
    }
    async copy(path_in_project, path_on_node, given) {
      const { mode } = options(given, ["mode"], "node.copy");
      if (mode !== undefined && !(Number.isInteger(mode) && mode >= 0 && mode <= 0o7777)) throw invalid("`mode` must be permission bits as in 0o755");
      await this.#call("node.copy", {
        node_id: this.id,
        path_in_project: text(path_in_project, "`path_in_project`"),
        path_on_node: text(path_on_node, "`path_on_node`"),
        mode: mode ?? null,
      });
    }
    toString() {
      return `Node(${this.id} ${this.name} ${this.address.replace(/:\d+$/, "")})`;
    }
    [INSPECT]() {
      return this.toString();
    }
  }

  const COPIES = 0xffffffff;

  let makeService;
  class Service {
    #handle;
    constructor(key, handle, info) {
      if (key !== KEY) throw new TypeError("a Service comes from its Cluster, as by `cluster.service(name)`");
      this.#handle = handle;
      for (const [name, value] of Object.entries(info)) {
        Object.defineProperty(this, name, { value, enumerable: true, writable: false, configurable: false });
      }
    }
    static {
      makeService = (handle, info) => new Service(KEY, handle, info);
    }
    get #own() {
      return { stack: this.stack, name: this.name };
    }
    // As it is afterwards: a Service shows what was known when it was read.
    async scale(copies) {
      if (!Number.isInteger(copies) || copies < 0 || copies > COPIES) throw invalid("`service.scale` needs a whole number of copies");
      return makeService(this.#handle, await call(CLOUD, this.#handle, "service.scale", { service: this.#own, copies }));
    }
    async restart() {
      return makeService(this.#handle, await call(CLOUD, this.#handle, "service.restart", this.#own));
    }
    async wait_healthy(given) {
      const { timeout } = options(given, ["timeout"], "service.wait_healthy");
      const args = { service: this.#own, timeout_ms: milliseconds(timeout, "timeout") };
      return makeService(this.#handle, await call(READ, this.#handle, "service.wait_healthy", args));
    }
    toString() {
      return `Service(${this.stack}/${this.name})`;
    }
    [INSPECT]() {
      return this.toString();
    }
  }

  let clusterHandle;
  class Cluster {
    #handle;
    #name;
    #provider;
    #kv = new internals.Kv();
    constructor(options) {
      const { name, provider, ...rest } = plainObject(options, "new Cluster");
      this.#name = text(name, "`name` of new Cluster");
      const spec = provider === undefined || provider === null ? null : specOf(provider);
      if (spec === undefined) {
        const hint = typeof provider?.then === "function" ? ": `await` is missing before it" : "";
        throw invalid(`\`provider\` of new Cluster must be the result of AwsProvider.init, LocalProvider.init or HostsProvider.init${hint}`);
      }
      this.#provider = provider ?? null;
      const site = new Error();
      try {
        this.#handle = op_cluster_define(JSON.stringify({ name, provider: spec, options: rest }));
      } catch (error) {
        throw internals.located(error, site);
      }
    }
    static {
      clusterHandle = (value) => typeof value === "object" && value !== null && #handle in value ? value.#handle : undefined;
    }
    get name() {
      return this.#name;
    }
    get provider() {
      return this.#provider;
    }
    get kv() {
      return this.#kv;
    }
    async healthy() {
      return call(READ, this.#handle, "healthy", null);
    }
    async set_key_pair(paths) {
      const { private: privatePath, public: publicPath } = plainObject(paths, "set_key_pair");
      const args = { private: text(privatePath, "`private`"), public: text(publicPath, "`public`") };
      await call(CLOUD, this.#handle, "set_key_pair", args);
    }
    async start_instance(options = {}) {
      return call(CLOUD, this.#handle, "start_instance", plainObject(options, "start_instance"));
    }
    async attach_ip(node) {
      return call(CLOUD, this.#handle, "attach_ip", node === undefined || node === null ? null : text(node, "`node`"));
    }
    async ssh_install() {
      await call(CLOUD, this.#handle, "ssh_install", null);
    }
    async scale(nodes) {
      if (!Number.isInteger(nodes) || nodes < 0 || nodes > 0xffffffff) throw invalid("`scale` needs a whole number of nodes");
      await call(CLOUD, this.#handle, "scale", nodes);
    }
    async nodes() {
      return (await call(READ, this.#handle, "nodes", null)).map((info) => makeNode(this.#handle, info));
    }
    async leader() {
      const info = await call(READ, this.#handle, "leader", null);
      return info === null ? null : makeNode(this.#handle, info);
    }
    async deploy(stack) {
      const deployed = await call(CLOUD, this.#handle, "deploy", stack ?? null);
      const services = Array.isArray(deployed?.services) ? deployed.services : [];
      return { ...deployed, services: services.map((info) => makeService(this.#handle, info)) };
    }
    async deployments() {
      return call(READ, this.#handle, "deployments", null);
    }
    async service(name) {
      const info = await call(READ, this.#handle, "service", text(name, "`name`"));
      return info === null ? null : makeService(this.#handle, info);
    }
    async events() {
      return call(READ, this.#handle, "events", null);
    }
    async destroy() {
      await call(CLOUD, this.#handle, "destroy", null);
    }
    toString() {
      return `Cluster(${this.#name})`;
    }
    toJSON() {
      return { name: this.#name, provider: this.#provider };
    }
    [INSPECT]() {
      return this.toString();
    }
  }

  // For hooks of a script without `init`.
  function defaultCluster() {
    const name = op_cluster_default();
    return name === "" ? undefined : new Cluster({ name });
  }
  Object.assign(internals, { makeNode, clusterHandle, defaultCluster });
  define("Cluster", Cluster);
  define("Node", Node);
  define("Service", Service);
})();
