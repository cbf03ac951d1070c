// Types of the global scope of `client.js` and `cluster.js`. `disco init` writes this file, so that an editor completes and
// checks the scripts. Disco's own names are snake_case; names from the web platform are unchanged.
//
// All times are in milliseconds. Disco's errors are an `Error` with a `code`, see `ErrorCode`.

// ---------------------------------------------------------------------------------------------------------------------
// What a script exports
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What `client.js` may export. It runs on the operator's machine, in `disco`.
 *
 * To have a hook checked, declare its type in a comment before it: `@type {NonNullable<ClientScript["bootstrap"]>}` or
 * `@param {Cluster} cluster`.
 *
 * Any other function that it exports is a command: `disco do NAME ARGS…` calls it with the cluster and the arguments.
 */
interface ClientScript {
  /** Runs first, before anything else. */
  init(): Promise<Cluster>;
  /** `disco bootstrap`: makes the cluster, or the missing parts of it. The returned text is printed at the end. */
  bootstrap?(cluster: Cluster): Promise<string | void>;
}

/**
 * What `cluster.js` may export. It runs on every node, in `discod`; all of it is optional.
 *
 * A hook that throws or exceeds its time limit is reported as an event with its place in the script; the node continues without it.
 */
interface ClusterScript {
  /** Runs on every node, when it starts and after each new version of the script. */
  init?(): Promise<Cluster>;
  /** Runs on the new leader. `signal` aborts when leadership is lost. */
  leader?(cluster: Cluster, node: Node, signal: AbortSignal): Promise<void>;
  /** Runs on every node, every ten seconds, and reports that node's health. It may read, but not change the cluster. */
  health?(cluster: Cluster, node: Node): Promise<boolean | { healthy: boolean; reason?: string }>;
  /** Runs on the leader, once for each version of the deployment. */
  deploy?(cluster: Cluster, deployment: Deployment): Promise<unknown>;
  /**
   * Runs on the leader, when a node was silent or not healthy for the `grace` period, or when its machine will be taken away. `false`
   * leaves the node as it is; otherwise, and without this hook, a new machine replaces it.
   */
  node_lost?(cluster: Cluster, node: Node): Promise<boolean | void>;
  /**
   * Runs on the leader, for each new task of a service that does not run on every node: which node is to have it. Returns a node, its id or its
   * name; or a list of scores, one for each of `nodes` in their order, the highest for the best; or nothing, and the cluster chooses. Nodes on
   * which the task cannot run are passed over. It has no effects: it may neither read the cluster nor use the network. After one second, or when it
   * throws, the cluster chooses.
   */
  place?(service: PlacedService, nodes: readonly PlaceNode[]): PlaceResult | Promise<PlaceResult>;
  /** Runs on the leader, at least once for every event. */
  event?(cluster: Cluster, event: ClusterEvent): Promise<void>;
}

type PlaceResult = PlaceNode | number | string | readonly number[] | null | undefined | void;

/** The task that the hook `place` places. */
interface PlacedService {
  readonly stack: string;
  readonly name: string;
  /** The task's number among the copies, from 1. */
  readonly index: number;
  /** Copies that the service shall have. */
  readonly copies: number;
  readonly labels: Readonly<Record<string, string>>;
  /** What the task takes: thousandths of a processor, and bytes. */
  readonly cpu_millis: number;
  readonly memory: number;
}

/** A node to which the hook `place` may give a task. */
interface PlaceNode {
  readonly id: number;
  readonly name: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Tasks that it has, and those of this service among them. */
  readonly tasks: number;
  readonly tasks_of_service: number;
  /** What no task has reserved: thousandths of a processor, and bytes. */
  readonly cpu_millis_free: number;
  readonly memory_free: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Providers, cluster, nodes
// ---------------------------------------------------------------------------------------------------------------------

/** A source of machines. Made by `await XProvider.init({ … })`. */
declare abstract class Provider {
  private constructor();
  readonly name: string;
  readonly kind: "aws" | "local" | "hosts";
  toString(): string;
  toJSON(): { kind: string; name: string };
}

/** Machines of Amazon EC2. */
declare class AwsProvider extends Provider {
  static init(options: {
    name: string;
    /** Such as `us-west-2`. Default: AWS_REGION, then the profile's region. */
    region?: string;
    /** The profile of the operator's credentials. Default: the usual environment variables. Nodes use their own role. */
    profile?: string;
    /** The URL of an API to use instead of Amazon's. */
    endpoint?: string;
    /** The VPC. Default: the region's default VPC. */
    vpc?: string;
    /** The subnets, all of one VPC. Default: the default subnets of all zones. */
    subnets?: string[];
    /** The addresses that may reach SSH and the control port from outside, such as `203.0.113.0/24`. Default: the operator's own address. */
    ssh_from?: string | string[];
    /** An existing instance profile, instead of a role that Disco makes. */
    instance_profile?: string;
    /** The login user on machines whose image has no cloud-init. Default: `root`. */
    ssh_user?: string;
    /** The most machines that the cluster may have. Machines of lost nodes, and machines that are being ended, do not count. */
    max_nodes?: number;
    /** The most that all machines together may cost per hour, on demand. A machine with an unknown price is refused. */
    max_hourly_usd?: number;
  }): Promise<AwsProvider>;
}

/** Machines on this computer: each is a folder, an address and a process that answers SSH. */
declare class LocalProvider extends Provider {
  static init(options: {
    name: string;
    /** The folder for the machines' folders. Default: `.disco/local` in the project. */
    dir?: string;
  }): Promise<LocalProvider>;
}

/** Existing machines, reached by SSH. */
declare class HostsProvider extends Provider {
  static init(options: {
    name: string;
    /**
     * Each as after `ssh`: `user@host:port`, a name of the operator's `~/.ssh/config`, or an object. The hosts of both scripts may be used.
     */
    hosts: (string | GivenHost)[];
  }): Promise<HostsProvider>;
}

/** A machine with more than one address. */
interface GivenHost {
  /** `user@host:port` of its SSH server, or a name of the operator's `~/.ssh/config`. */
  ssh: string;
  /** `IP` or `IP:PORT` by which the other nodes reach it. Default: the host of `ssh`. */
  advertise?: string;
  /** `IP` or `IP:PORT` to which `discod` binds. Default: `advertise`, or the machine's own address if `advertise` is its router's. */
  listen?: string;
}

/** Options of a machine to start. A provider may accept further ones. */
interface InstanceOptions {
  /** Such as `ami-0e8c824f386e1de06`. */
  image?: string;
  /** Such as `t4g.micro`. */
  instance_type?: string;
  /** Its name for people. */
  name?: string;
  /** Such as `us-west-2a`. Default: the cluster spreads its machines over the zones. */
  zone?: string;
  /** The disk: its size in GiB, or an object. */
  volume?: number | { size?: number; type?: string; iops?: number; encrypted?: boolean };
  /** A spot machine: at the current market price, and may be taken away at any time. */
  spot?: boolean;
  /** User data for cloud-init, in addition to Disco's own. */
  user_data?: string;
  [option: string]: unknown;
}

/** A machine. */
interface Instance {
  /** The provider's id. */
  readonly id: string;
  readonly name: string;
  /** Its address, once it is known. */
  readonly address: string | null;
  readonly state: "pending" | "running" | "stopping" | "stopped" | "terminated";
}

/** The cluster. Each of its methods may be called again after any failure, and then does only the missing steps. */
declare class Cluster {
  constructor(options: {
    name: string;
    provider?: Provider;
    /**
     * In `cluster.js`: how lost nodes are replaced. `grace`: milliseconds for which a node may be silent or not healthy, at least 5000
     * (default: 60000). `every`: milliseconds between two replacements (default: 600000).
     */
    repair?: { grace?: number; every?: number };
    [option: string]: unknown;
  });
  readonly name: string;
  readonly provider: Provider | null;
  /** The cluster's replicated keys. */
  readonly kv: Kv;
  /** Whether a quorum answers and every node is healthy. */
  healthy(): Promise<boolean>;
  /**
   * The operator's SSH key pair, as paths in the project; `~` is the home folder. Without it, given hosts are reached with the keys that `ssh` would
   * use, and Disco makes a pair for other machines.
   */
  set_key_pair(paths: { private: string; public: string }): Promise<void>;
  /** Starts the first machine. */
  start_instance(options?: InstanceOptions): Promise<Instance>;
  /**
   * Attaches a static public address and returns it, if the provider supports that. It always points to the current leader's machine,
   * or to the machine of the node with this name as long as that node is a member.
   */
  attach_ip(node?: string): Promise<string | null>;
  /** Installs Disco on the machine over SSH, and waits until the node answers. */
  ssh_install(): Promise<void>;
  /**
   * Sets the cluster's target size, and waits until it is reached. In `bootstrap` it is a minimum: a larger target size set later by
   * `disco scale` stays, and a smaller number than this script requested before has to be confirmed.
   */
  scale(nodes: number): Promise<void>;
  nodes(): Promise<Node[]>;
  /** The leader, if one is known. */
  leader(): Promise<Node | null>;
  /**
   * In `client.js`: deploys a stack file, by its path in the project, and waits until its services are healthy. Without a path, the first of
   * `stack.yml`, `compose.yaml`, `compose.yml`, `docker-compose.yml` and `fig.yml` in the project that has services; if there is none, it sends
   * the project's files, and the leader calls the hook `deploy` of `cluster.js`. A version that fails goes back by itself: an error with code
   * `ROLLED_BACK`.
   */
  deploy(stack?: string): Promise<Deployment & { readonly services: readonly Service[] }>;
  /** The deployments, newest first. */
  deployments(): Promise<Deployment[]>;
  /** A service, as `STACK/SERVICE` or by its own name where only one stack has it; or `null`. */
  service(name: string): Promise<Service | null>;
  /** The latest events, oldest first. */
  events(): Promise<ClusterEvent[]>;
  /** Ends the cluster and its machines. */
  destroy(): Promise<void>;
  /** `Cluster(name)` */
  toString(): string;
  toJSON(): { name: string; provider: Provider | null };
}

/** A member of the cluster. */
declare class Node {
  private constructor();
  /** Its id, which is never reused for another node. */
  readonly id: number;
  readonly name: string;
  readonly address: string;
  readonly role: "leader" | "voter" | "learner";
  readonly healthy: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * Runs a command with `sh` on the node. A command that fails is a result, not an error: check `code`. Its background processes keep
   * running. After `timeout` (default: 60000, at most 3600000) the command is killed: an error with code `TIMEOUT`.
   */
  run(command: string, options?: { timeout?: number }): Promise<{
    /** 128 + signal for one that was killed. */
    code: number;
    stdout: string;
    stderr: string;
    /** One of them had more than 1 MiB: the rest was dropped. A warning is in the log, too. */
    truncated: boolean;
  }>;
  /** Copies a file of the project to the node. */
  copy(
    path_in_project: string,
    path_on_node: string,
    options?: {
      /** Permission bits, such as `0o755`. Default: those of the file in the project. */
      mode?: number;
    },
  ): Promise<void>;
  /** `Node(3 web-1 10.0.0.7)` */
  toString(): string;
}

/** A service as it was when it was read. Its methods return it as it is then. */
declare class Service {
  private constructor();
  readonly stack: string;
  /** Its name in the stack. */
  readonly name: string;
  /** What runs its tasks, such as `process`. */
  readonly driver: string | null;
  /** Copies that it shall have. */
  readonly desired: number;
  readonly running: number;
  readonly healthy: number;
  /** The deployment that made its version. */
  readonly deployment: number | null;
  readonly state: "complete" | "changing" | "going back" | "not placed" | "stopped" | "removing";
  /** What its update waits for. */
  readonly waits_for: string | null;
  /** Why a task has no node, per node. */
  readonly unplaced: string | null;
  /** Why its new version failed. */
  readonly failed: string | null;
  /** The stable address. */
  readonly address: string | null;
  readonly ports: readonly {
    readonly published: number | string | null;
    readonly target: number;
    readonly proto: "tcp" | "udp";
    readonly mode: "host" | "ingress";
  }[];
  /** Use those that are healthy and not draining. */
  readonly endpoints: readonly {
    readonly task: number;
    readonly node: number;
    readonly address: string;
    readonly port: number;
    readonly target: number;
    readonly proto: "tcp" | "udp";
    readonly healthy: boolean;
    readonly draining: boolean;
  }[];
  /** Sets the number of copies, and waits until they are healthy. */
  scale(copies: number): Promise<Service>;
  /** Replaces its tasks by new ones of the same version, as an update does, and waits for the end. */
  restart(): Promise<Service>;
  /**
   * Waits until it has all its copies, all of them healthy, and nothing of it changes. After `timeout` (default: 60000): an error with code
   * `TIMEOUT` and what is missing.
   */
  wait_healthy(options?: { timeout?: number }): Promise<Service>;
  /** `Service(shop/web)` */
  toString(): string;
}

/** The record of a deployment. */
interface Deployment {
  readonly id: number;
  readonly [field: string]: any;
}

/** Something that happened in the cluster. */
interface ClusterEvent {
  readonly id: number;
  /** RFC 3339. */
  readonly time: string;
  /** Such as `node.joined`. */
  readonly kind: string;
  readonly severity: "info" | "warning" | "error";
  /** The id of the node that it is about. */
  readonly node: number | null;
  readonly message: string;
  readonly data: any;
}

// ---------------------------------------------------------------------------------------------------------------------
// Replicated keys
// ---------------------------------------------------------------------------------------------------------------------

/** A key with its value and metadata. */
interface KvEntry {
  readonly key: string;
  /** A string, or bytes if the value is not UTF-8. */
  readonly value: any;
  readonly create_revision: number;
  readonly mod_revision: number;
  /** Writes since its creation, from 1. */
  readonly version: number;
  /** The lease that it is attached to, or 0. */
  readonly lease: number;
}

type KvEvent = ({ readonly type: "put" } & KvEntry) | {
  readonly type: "delete";
  readonly key: string;
  readonly mod_revision: number;
  readonly value?: undefined;
};

/** A missing key has `version` and revisions 0, and no value. */
type KvCompare =
  & { key: string; op?: "=" | "!=" | ">" | "<" }
  & (
    | { value: string | Uint8Array }
    | { version: number }
    | { create_revision: number }
    | { mod_revision: number }
  );

type KvStep =
  | { get: string; prefix?: boolean; limit?: number }
  | { put: string; value: string | Uint8Array; lease?: number }
  | { delete: string; prefix?: boolean };

type KvStepResult = { get?: KvEntry[]; put?: true; delete?: number };

/** A running watch. */
interface KvWatch {
  next(): Promise<IteratorResult<KvEvent, undefined>>;
  return(): Promise<IteratorResult<KvEvent, undefined>>;
  [Symbol.asyncIterator](): KvWatch;
}

interface Kv {
  /** The current entry (linearizable), or `null`. */
  get(key: string): Promise<KvEntry | null>;
  /** All keys with this prefix, in order. */
  list(prefix: string, options?: { limit?: number }): Promise<KvEntry[]>;
  put(key: string, value: string | Uint8Array, options?: { lease?: number }): Promise<{ revision: number }>;
  delete(key: string, options?: { prefix?: boolean }): Promise<{ revision: number; deleted: number }>;
  /** Atomic: runs `then` if every comparison of `if` holds, else `else`. */
  txn(txn: { if?: KvCompare[]; then?: KvStep[]; else?: KvStep[] }): Promise<{
    succeeded: boolean;
    revision: number;
    responses: KvStepResult[];
  }>;
  /**
   * Changes as they happen: `for await (const event of cluster.kv.watch("config/", { prefix: true })) …`
   *
   * It starts with this call: later writes of the script are included. `return()` ends it, also while `next()` waits. In a plan, where
   * nothing changes, it ends at once.
   */
  watch(key: string, options?: {
    prefix?: boolean;
    /** The first revision to report. Default: changes from now on. */
    start_revision?: number;
    /** Ends the watch when it aborts: a pending `next()` is rejected with its `reason`. */
    signal?: AbortSignal;
  }): KvWatch;
}

// ---------------------------------------------------------------------------------------------------------------------
// Disco's own globals
// ---------------------------------------------------------------------------------------------------------------------

/** Asks the operator a yes-or-no question. In `client.js` only; an error without a terminal. */
declare function ask(question: string, options?: { default?: boolean }): Promise<boolean>;
/** Asks the operator for a text. */
declare function ask(question: string, options: { default: string }): Promise<string>;
/** Asks the operator for a number. */
declare function ask(question: string, options: { default: number }): Promise<number>;

/** Waits for this many milliseconds, without an upper limit. */
declare function delay(ms: number, options?: { signal?: AbortSignal }): Promise<void>;

/** The environment variables, without those that the host hides. */
declare const env: Readonly<Record<string, string | undefined>>;

/** The result of a command. As a string it is the output without its last line break. */
interface CommandResult {
  /** 128 + signal for one that was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** One of them had more than 1 MiB: the rest was dropped. A warning is in the log, too. */
  readonly truncated: boolean;
  /** Throws an error with code `TRUNCATED` if output was dropped. */
  toString(): string;
}

/**
 * A command. It starts when it is awaited; until then its options can be set. A function that returns without having awaited one of
 * its commands fails.
 */
interface Command extends PromiseLike<CommandResult> {
  readonly command: string;
  /** A command that fails is a result, not an error. */
  nothrow(): Command;
  /** Kills the command after this time: an error with code `TIMEOUT`. */
  timeout(ms: number): Command;
  /** Kills the command when the signal aborts. */
  signal(signal: AbortSignal): Command;
  /** Its standard input, of any length. Default: empty. */
  stdin(data: string | Uint8Array): Command;
  /** The folder to run in, relative to the project folder. Default: the project folder. */
  cwd(folder: string): Command;
  /** Variables in addition to those of the script; `undefined` removes one. */
  env(variables: Record<string, string | number | boolean | undefined>): Command;
  /** A pipeline fails if any of its commands fails, not only the last one. Uses `bash` if `sh` does not support it. */
  pipefail(): Command;
  /** The output without its last line break. */
  text(): Promise<string>;
  lines(): Promise<string[]>;
  json(): Promise<any>;
  catch<T = never>(rejected?: ((reason: any) => T | PromiseLike<T>) | null): Promise<CommandResult | T>;
  finally(done?: (() => void) | null): Promise<CommandResult>;
}

/**
 * Runs a command with `sh` on the machine that runs the script. `sh` gets the text between the backticks unchanged, including
 * backslashes, and of any length. `${…}` is JavaScript's; `$NAME` and `$(…)` are the shell's.
 *
 * Inserted values are quoted; an array becomes several words. `undefined`, `null`, a command or promise that was not awaited, and an
 * object without its own string form are errors.
 *
 * A command that fails is an error with code `EXIT`, `exit_code`, `stdout`, `stderr` and `truncated`. Its background processes
 * (`server &`) keep running, even when `disco` or the daemon ends; its foreground process is killed with the function that awaits it.
 *
 * In `disco plan` and with `--dry-run` the command is listed instead of run; its output is then empty.
 *
 * ```js
 * const load = await $`cat ${file}`;
 * console.log(`${load}`, load.code);
 * ```
 */
declare function $(strings: TemplateStringsArray, ...values: CommandWord[]): Command;
/** Values that can be inserted into a command. */
type CommandWord = string | number | bigint | boolean | { toString(): string } | readonly (string | number | bigint | boolean | { toString(): string })[];

/** Probes by HTTP. */
declare const http: {
  /** Follows redirects; any status is a result. Default time limit: 5000. */
  get(url: string | URL, options?: { timeout?: number; headers?: HeadersInit; signal?: AbortSignal }): Promise<{
    readonly status: number;
    readonly ok: boolean;
    readonly headers: Headers;
    readonly body: string;
    /** How long it took. */
    readonly ms: number;
  }>;
};

/** Probes by TCP. */
declare const tcp: {
  /** Connects to `host:port` and disconnects. Default time limit: 5000. */
  connect(address: string, options?: { timeout?: number }): Promise<{
    /** The address that answered. */
    readonly address: string;
    /** How long it took. */
    readonly ms: number;
  }>;
};

// ---------------------------------------------------------------------------------------------------------------------
// The supported part of the web platform
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The kind of a failure: the same in `client.js` and in `cluster.js`. Codes are added, never renamed.
 */
type ErrorCode =
  /** The script's own signal aborted it. */
  | "ABORTED"
  /** A bug in Disco. */
  | "BUG"
  /** Its call has ended, or the process is shutting down. */
  | "CANCELLED"
  /** The requested revisions are compacted. */
  | "COMPACTED"
  /** A transaction changes the same key twice. */
  | "DUPLICATE_KEY"
  /** This machine aborted the connection. */
  | "ECONNABORTED"
  /** Nothing listens at that address. */
  | "ECONNREFUSED"
  /** The other end closed the connection. */
  | "ECONNRESET"
  /** No route to that machine. */
  | "EHOSTUNREACH"
  /** An invalid address. */
  | "EINVAL"
  /** Another I/O error. */
  | "EIO"
  /** No route to that network. */
  | "ENETUNREACH"
  /** The name has no address. */
  | "ENOTFOUND"
  /** An invalid URL. */
  | "ERR_INVALID_URL"
  /** The operating system's own network time limit passed first. */
  | "ETIMEDOUT"
  /** A limit on concurrent operations or another resource is reached; a retry may succeed. */
  | "EXHAUSTED"
  /** It already exists. */
  | "EXISTS"
  /** A command of `$` ended with a status other than 0. */
  | "EXIT"
  /** A failure without a more specific code. */
  | "FAILED"
  /** The other end violated the HTTP protocol. */
  | "HTTP"
  /** An invalid argument or option. */
  | "INVALID"
  /** The lease does not exist; it may have expired. */
  | "LEASE_NOT_FOUND"
  /** This hook, or the caller, is not permitted to do it. */
  | "NOT_ALLOWED"
  /** The named object does not exist. */
  | "NOT_FOUND"
  /** The store or a disk is full. Nothing was changed. */
  | "NO_SPACE"
  /** Out of range: a future revision, or more than fits into one message. */
  | "OUT_OF_RANGE"
  /** A redirect that must not be followed, or too many redirects. */
  | "REDIRECT"
  /** Refused because it would lose quorum or data, or because the cluster is not in a state for it. */
  | "REFUSED"
  /** It failed and was rolled back. */
  | "ROLLED_BACK"
  /** The time limit passed. */
  | "TIMEOUT"
  /** The TLS connection failed. */
  | "TLS"
  /** More bytes than allowed. */
  | "TOO_LARGE"
  /** A transaction has more operations than allowed. */
  | "TOO_MANY_OPERATIONS"
  /** The complete output was requested, but part of it was dropped. */
  | "TRUNCATED"
  /** No node answers, or none has a quorum. The outcome of a write is unknown. */
  | "UNAVAILABLE"
  /** Not supported by this version, or not available here. */
  | "UNSUPPORTED"
;

interface Error {
  /** Set on errors of Disco's own globals; a script may give its errors other codes. */
  code?: ErrorCode | (string & {});
}

interface Console {
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  dir(value: unknown): void;
  table(value: unknown, columns?: string[]): void;
  assert(condition?: unknown, ...values: unknown[]): void;
  group(...values: unknown[]): void;
  groupEnd(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  time(label?: string): void;
  timeEnd(label?: string): void;
}
declare const console: Console;

/** A timer ends with the call that started it; if the hook has a `signal` and has returned, when the signal aborts. */
/** A timer ends with the call that started it; if the hook has a `signal` and has returned, when the signal aborts. */
declare function setTimeout<A extends unknown[]>(callback: (...args: A) => void, ms?: number, ...args: A): number;
declare function setInterval<A extends unknown[]>(callback: (...args: A) => void, ms?: number, ...args: A): number;
declare function clearTimeout(id: number | undefined): void;
declare function clearInterval(id: number | undefined): void;
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;

/** To base64; each character is a byte. */
declare function btoa(text: string): string;
/** From base64; each character is a byte. */
declare function atob(base64: string): string;

declare const performance: {
  /** Milliseconds since `timeOrigin`, by a monotonic clock. */
  now(): number;
  /** Milliseconds since 1970. */
  readonly timeOrigin: number;
};

declare const crypto: {
  randomUUID(): string;
};

interface AbortEvent {
  readonly type: "abort";
  readonly target: AbortSignal;
}
declare class AbortSignal {
  private constructor();
  readonly aborted: boolean;
  readonly reason: any;
  onabort: ((event: AbortEvent) => void) | null;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: (event: AbortEvent) => void): void;
  removeEventListener(type: "abort", listener: (event: AbortEvent) => void): void;
  static abort(reason?: unknown): AbortSignal;
  static timeout(ms: number): AbortSignal;
  static any(signals: Iterable<AbortSignal>): AbortSignal;
}
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: "utf-8" | "utf8", options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: "utf-8";
  readonly fatal: boolean;
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

declare class URLSearchParams implements Iterable<[string, string]> {
  constructor(init?: string | Iterable<readonly [string, unknown]> | Record<string, unknown>);
  readonly size: number;
  append(name: string, value: unknown): void;
  delete(name: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  set(name: string, value: unknown): void;
  sort(): void;
  forEach(callback: (value: string, name: string, params: URLSearchParams) => void): void;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[string, string]>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}
declare class URL {
  constructor(url: string | URL, base?: string | URL);
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  hash: string;
  readonly searchParams: URLSearchParams;
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  toString(): string;
  toJSON(): string;
}

type HeadersInit = Headers | Iterable<readonly [string, string]> | Record<string, string>;
declare class Headers implements Iterable<[string, string]> {
  constructor(init?: HeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  /** Every `set-cookie` value separately, as a cookie may contain commas. */
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(callback: (value: string, name: string, headers: Headers) => void): void;
  toJSON(): Record<string, string>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[string, string]>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

/** The answer to `fetch`. Its body is already loaded: at most 1 MiB. */
interface Response {
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  readonly url: string;
  readonly redirected: boolean;
  readonly headers: Headers;
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  json(): Promise<any>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/**
 * HTTP/1.1, plain or over TLS, with a time limit of one minute. A name and password in the URL are sent as basic authorization. A body
 * compressed with gzip, deflate or brotli is decoded.
 */
declare function fetch(url: string | URL, options?: {
  method?: string;
  headers?: HeadersInit;
  body?: string | Uint8Array | ArrayBuffer | URLSearchParams | null;
  redirect?: "follow" | "manual" | "error";
  signal?: AbortSignal | null;
}): Promise<Response>;
