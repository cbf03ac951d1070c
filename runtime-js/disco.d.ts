// Types of everything that `client.js` and `cluster.js` find in their global scope. Written by `disco init`, so that an
// editor completes and checks the scripts. Names of Disco's own are snake_case; names from the web are as there.
//
// Time is in milliseconds everywhere. An error of Disco's own is an `Error` with a `code`, see `ErrorCode`.

// ---------------------------------------------------------------------------------------------------------------------
// What a script exports
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What `client.js` may export. It runs on the operator's machine, in `disco`.
 *
 * To have a hook checked, say what it is: `@type {NonNullable<ClientScript["bootstrap"]>}` or `@param {Cluster} cluster`
 * in a comment before it.
 *
 * Any other function that it exports is a command: `disco do NAME ARGS…` calls it with the cluster and the arguments.
 */
interface ClientScript {
  /** Runs first, before anything else. */
  init(): Promise<Cluster>;
  /** `disco bootstrap`: makes the cluster, or what is missing of it. The text is printed at the end. */
  bootstrap?(cluster: Cluster): Promise<string | void>;
}

/**
 * What `cluster.js` may export. It runs on every node, in `discod`; all of it is optional.
 *
 * A hook that throws or runs past its limit is an event with its place in the script; the node goes on without it.
 */
interface ClusterScript {
  /** Every node, when it starts and after a new version of the script. */
  init?(): Promise<Cluster>;
  /** The node that became leader. `signal` aborts when leadership is lost. */
  leader?(cluster: Cluster, node: Node, signal: AbortSignal): Promise<void>;
  /** Every node, every ten seconds, about itself. May look around, but not change the cluster. */
  health?(cluster: Cluster, node: Node): Promise<boolean | { healthy: boolean; reason?: string }>;
  /** The leader, once for each version of the deployment. */
  deploy?(cluster: Cluster, deployment: Deployment): Promise<unknown>;
  /**
   * The leader, when a node was silent or not healthy for its time of grace, or its machine will be taken away. `false` leaves it as it is;
   * otherwise, and without the hook, a new machine takes its place.
   */
  node_lost?(cluster: Cluster, node: Node): Promise<boolean | void>;
  /** The leader, for every event, at least once. */
  event?(cluster: Cluster, event: ClusterEvent): Promise<void>;
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
    /** As in `us-west-2`; AWS_REGION or the profile's otherwise. */
    region?: string;
    /** Of the operator's credentials; the usual environment variables otherwise. Nodes have a role of their own. */
    profile?: string;
    /** Instead of Amazon's own API. */
    endpoint?: string;
    /** Instead of the default one. */
    vpc?: string;
    /** Instead of the default ones of all zones. */
    subnets?: string[];
    /** Who reaches SSH and the control port from outside, as in `203.0.113.0/24`, instead of the operator's own address. */
    ssh_from?: string | string[];
    /** One that exists, instead of a role that Disco makes. */
    instance_profile?: string;
    /** Who logs in on machines whose image has no cloud-init; `root` otherwise. */
    ssh_user?: string;
    /** The cluster never has more machines than this. Those of lost nodes, and those that are being ended, do not count. */
    max_nodes?: number;
    /** All machines together never cost more than this in an hour, on demand. Refused where a price is not known. */
    max_hourly_usd?: number;
  }): Promise<AwsProvider>;
}

/** Machines on this very machine: each a folder, an address of its own and a process that answers SSH. */
declare class LocalProvider extends Provider {
  static init(options: {
    name: string;
    /** Where their folders lie; `.disco/local` in the project otherwise. */
    dir?: string;
  }): Promise<LocalProvider>;
}

/** Machines that are there already, reached by SSH. */
declare class HostsProvider extends Provider {
  static init(options: {
    name: string;
    /** `user@host:port` each, or more about one. Hosts that either script names may be used. */
    hosts: (string | GivenHost)[];
  }): Promise<HostsProvider>;
}

/** A machine with more than one address. */
interface GivenHost {
  /** `user@host:port`: where it answers SSH. */
  ssh: string;
  /** `IP` or `IP:PORT` by which the other nodes call it; what `ssh` names otherwise. */
  advertise?: string;
  /** `IP` or `IP:PORT` to which `discod` binds; otherwise `advertise`, or what the machine has where that is its router's. */
  listen?: string;
}

/** Options of a machine to be started. Providers may know more. */
interface InstanceOptions {
  /** As in `ami-0e8c824f386e1de06`. */
  image?: string;
  /** As in `t4g.micro`. */
  instance_type?: string;
  /** Its name for people. */
  name?: string;
  /** As in `us-west-2a`; the cluster spreads its machines otherwise. */
  zone?: string;
  /** The disk: GiB, or more about it. */
  volume?: number | { size?: number; type?: string; iops?: number; encrypted?: boolean };
  /** At the price of the moment, and taken away when others pay more. */
  spot?: boolean;
  /** For cloud-init, besides Disco's own. */
  user_data?: string;
  [option: string]: unknown;
}

/** A machine. */
interface Instance {
  /** The provider's id. */
  readonly id: string;
  readonly name: string;
  /** Where it is reached, once that is known. */
  readonly address: string | null;
  readonly state: "pending" | "running" | "stopping" | "stopped" | "terminated";
}

/** The cluster. Each of its methods may be called again after a failure at any point, and then does what is missing. */
declare class Cluster {
  constructor(options: {
    name: string;
    provider?: Provider;
    /**
     * In `cluster.js`: how lost nodes are replaced. `grace`: milliseconds for which a node may be silent or not healthy, 60000 if not
     * given and 5000 at least. `every`: milliseconds between two replacements, 600000 if not given.
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
  /** The operator's SSH key pair, as paths in the project. */
  set_key_pair(paths: { private: string; public: string }): Promise<void>;
  /** Starts the first machine. */
  start_instance(options?: InstanceOptions): Promise<Instance>;
  /**
   * A lasting public address: the address, where the provider has such a thing. It leads to the leader's machine, whoever
   * leads, or to the one of the node of this name as long as that is a member.
   */
  attach_ip(node?: string): Promise<string | null>;
  /** Installs Disco on the machine over SSH, and waits until the node answers. */
  ssh_install(): Promise<void>;
  /**
   * Grows or shrinks the cluster to this number of nodes, and waits for it. In `bootstrap` it says how many there are at least: a number
   * that was set since by `disco scale` is kept where it is larger, and fewer than this script has asked for before are confirmed.
   */
  scale(nodes: number): Promise<void>;
  nodes(): Promise<Node[]>;
  /** The leader, where one is known. */
  leader(): Promise<Node | null>;
  /** In `client.js`: sends the project's files, and has the leader call the hook `deploy` of `cluster.js`. */
  deploy(): Promise<Deployment>;
  /** The newest first. */
  deployments(): Promise<Deployment[]>;
  /** The latest events, the oldest first. */
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
  /** Never used again for another node. */
  readonly id: number;
  readonly name: string;
  readonly address: string;
  readonly role: "leader" | "voter" | "learner";
  readonly healthy: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * Runs a command by `sh` on the node. A command that fails is a result: look at `code`. What it leaves in the background goes on.
   * After `timeout`, 60000 if not given and 3600000 at most, it is killed: an error with code `TIMEOUT`.
   */
  run(command: string, options?: { timeout?: number }): Promise<{
    /** 128 + signal for one that was killed. */
    code: number;
    stdout: string;
    stderr: string;
    /** There was more than 1 MiB of one of them: the rest was dropped. It is in the log, too. */
    truncated: boolean;
  }>;
  /** Copies a file of the project to the node. */
  copy(
    path_in_project: string,
    path_on_node: string,
    options?: {
      /** Permission bits, as in `0o755`; those of the file in the project otherwise. */
      mode?: number;
    },
  ): Promise<void>;
  /** `Node(3 web-1 10.0.0.7)` */
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
  /** As in `node.joined`. */
  readonly kind: string;
  readonly severity: "info" | "warning" | "error";
  /** Of the node that it is about. */
  readonly node: number | null;
  readonly message: string;
  readonly data: any;
}

// ---------------------------------------------------------------------------------------------------------------------
// Replicated keys
// ---------------------------------------------------------------------------------------------------------------------

/** A key and what is known of it. */
interface KvEntry {
  readonly key: string;
  /** Text; what is not UTF-8 comes as bytes. */
  readonly value: any;
  readonly create_revision: number;
  readonly mod_revision: number;
  /** Writes since its creation, from 1. */
  readonly version: number;
  /** The lease that it lives with, or 0. */
  readonly lease: number;
}

type KvEvent = ({ readonly type: "put" } & KvEntry) | {
  readonly type: "delete";
  readonly key: string;
  readonly mod_revision: number;
  readonly value?: undefined;
};

/** A key that is absent has `version` and revisions 0, and no value. */
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

/** A watch that runs. */
interface KvWatch {
  next(): Promise<IteratorResult<KvEvent, undefined>>;
  return(): Promise<IteratorResult<KvEvent, undefined>>;
  [Symbol.asyncIterator](): KvWatch;
}

interface Kv {
  /** What the cluster has agreed on at this moment, or `null`. */
  get(key: string): Promise<KvEntry | null>;
  /** All keys that begin so, in order. */
  list(prefix: string, options?: { limit?: number }): Promise<KvEntry[]>;
  put(key: string, value: string | Uint8Array, options?: { lease?: number }): Promise<{ revision: number }>;
  delete(key: string, options?: { prefix?: boolean }): Promise<{ revision: number; deleted: number }>;
  /** All or nothing: `then` if every comparison of `if` holds, `else` otherwise. */
  txn(txn: { if?: KvCompare[]; then?: KvStep[]; else?: KvStep[] }): Promise<{
    succeeded: boolean;
    revision: number;
    responses: KvStepResult[];
  }>;
  /**
   * Changes as they come: `for await (const event of cluster.kv.watch("config/", { prefix: true })) …`
   *
   * It begins when it is made: what the script writes after that is among them. `return()` ends it, also while `next()` waits.
   * In a plan, where nothing changes, it ends at once.
   */
  watch(key: string, options?: {
    prefix?: boolean;
    /** The first revision to be told; from now on otherwise. */
    start_revision?: number;
    /** Ends it when it aborts: what waits for the next change is rejected with its `reason`. */
    signal?: AbortSignal;
  }): KvWatch;
}

// ---------------------------------------------------------------------------------------------------------------------
// Disco's own globals
// ---------------------------------------------------------------------------------------------------------------------

/** Asks the operator a yes-or-no question. In `client.js` only; an error where no one can be asked. */
declare function ask(question: string, options?: { default?: boolean }): Promise<boolean>;
/** Asks the operator for a text. */
declare function ask(question: string, options: { default: string }): Promise<string>;
/** Asks the operator for a number. */
declare function ask(question: string, options: { default: number }): Promise<number>;

/** Waits, however long. */
declare function delay(ms: number, options?: { signal?: AbortSignal }): Promise<void>;

/** The environment, without what the host keeps to itself. */
declare const env: Readonly<Record<string, string | undefined>>;

/** What a command left. As a text it is the output without its last line break. */
interface CommandResult {
  /** 128 + signal for one that was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** There was more than 1 MiB of one of them: the rest was dropped. It is in the log, too. */
  readonly truncated: boolean;
  /** An error with code `TRUNCATED` where there was more: a part is never taken for all of it. */
  toString(): string;
}

/**
 * A command. It starts when it is awaited; until then its options can be set. A function that returns and has awaited one of its
 * commands never, fails.
 */
interface Command extends PromiseLike<CommandResult> {
  readonly command: string;
  /** A command that fails is a result, not an error. */
  nothrow(): Command;
  /** Kills it after this time: an error with code `TIMEOUT`. */
  timeout(ms: number): Command;
  /** Kills it when the signal aborts. */
  signal(signal: AbortSignal): Command;
  /** Its standard input, of any length; nothing otherwise. */
  stdin(data: string | Uint8Array): Command;
  /** Runs it in this folder, relative to the project's; in the project's otherwise. */
  cwd(folder: string): Command;
  /** Variables besides those of the script; `undefined` takes one away. */
  env(variables: Record<string, string | number | boolean | undefined>): Command;
  /** A pipeline fails with any of its commands, not with its last alone. By `bash` where `sh` does not know how. */
  pipefail(): Command;
  /** The output without its last line break. */
  text(): Promise<string>;
  lines(): Promise<string[]>;
  json(): Promise<any>;
  catch<T = never>(rejected?: ((reason: any) => T | PromiseLike<T>) | null): Promise<CommandResult | T>;
  finally(done?: (() => void) | null): Promise<CommandResult>;
}

/**
 * A command on the machine that runs the script, by `sh`, which gets the text as it stands between the backticks, backslashes too, and
 * of any length. `${…}` is JavaScript's; the shell's own are `$NAME` and `$(…)`.
 *
 * What is put in is quoted; an array is several words. `undefined`, `null`, a command or a promise that was not awaited and an object
 * without a text of its own are errors.
 *
 * A command that fails is an error with code `EXIT`, `exit_code`, `stdout`, `stderr` and `truncated`. What it leaves in the background
 * (`server &`) goes on, also when `disco` or the daemon ends; what is in the foreground is killed with the function that awaits it.
 *
 * In `disco plan` and with `--dry-run` it is not run but listed; its output is then empty.
 *
 * ```js
 * const load = await $`cat ${file}`;
 * console.log(`${load}`, load.code);
 * ```
 */
declare function $(strings: TemplateStringsArray, ...values: CommandWord[]): Command;
/** What can be put into a command. */
type CommandWord = string | number | bigint | boolean | { toString(): string } | readonly (string | number | bigint | boolean | { toString(): string })[];

/** Probes by HTTP. */
declare const http: {
  /** Redirects are followed, any status is a result. The time limit is 5000 otherwise. */
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
  /** Connects to `host:port` and hangs up. The time limit is 5000 otherwise. */
  connect(address: string, options?: { timeout?: number }): Promise<{
    /** That answered. */
    readonly address: string;
    /** How long it took. */
    readonly ms: number;
  }>;
};

// ---------------------------------------------------------------------------------------------------------------------
// From the web, as far as it is there
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What kind of failure an error is: the same in `client.js` and in `cluster.js`. Words are added, never renamed.
 */
type ErrorCode =
  /** The script's own signal ended it. */
  | "ABORTED"
  /** A fault of Disco. */
  | "BUG"
  /** The call that it belongs to has ended, or what would do it is shutting down. */
  | "CANCELLED"
  /** The revisions that were asked for are no longer kept. */
  | "COMPACTED"
  /** One transaction changes a key twice. */
  | "DUPLICATE_KEY"
  /** The connection was given up by this machine. */
  | "ECONNABORTED"
  /** Nothing listens at that address. */
  | "ECONNREFUSED"
  /** The other end closed the connection. */
  | "ECONNRESET"
  /** There is no way to that machine. */
  | "EHOSTUNREACH"
  /** An address that is none. */
  | "EINVAL"
  /** Another fault of input or output. */
  | "EIO"
  /** There is no way to that network. */
  | "ENETUNREACH"
  /** The name has no address. */
  | "ENOTFOUND"
  /** A URL that is none. */
  | "ERR_INVALID_URL"
  /** The network gave up before the time limit did. */
  | "ETIMEDOUT"
  /** Too much is under way already; later it may work. */
  | "EXHAUSTED"
  /** Something of that name is there already. */
  | "EXISTS"
  /** A command of `$` ended with another status than 0. */
  | "EXIT"
  /** It failed, and no other code says it better. */
  | "FAILED"
  /** The other end does not speak HTTP as it should. */
  | "HTTP"
  /** An argument or option that can never work. */
  | "INVALID"
  /** There is no such lease; it may have ended. */
  | "LEASE_NOT_FOUND"
  /** This hook, or whoever asks, may not do it. */
  | "NOT_ALLOWED"
  /** What was named does not exist. */
  | "NOT_FOUND"
  /** The store or a disk is full. Nothing was changed. */
  | "NO_SPACE"
  /** The answer lies outside of what can be given: a revision still to come, or more than fits into one message. */
  | "OUT_OF_RANGE"
  /** A redirect that is not to be followed, or one too many. */
  | "REDIRECT"
  /** A guard refused what would lose quorum or data, or the cluster is not in a state for it. */
  | "REFUSED"
  /** It failed, and all is as it was before. */
  | "ROLLED_BACK"
  /** The time limit passed. */
  | "TIMEOUT"
  /** No secure connection could be made. */
  | "TLS"
  /** More bytes than may be. */
  | "TOO_LARGE"
  /** A transaction has more operations than may be. */
  | "TOO_MANY_OPERATIONS"
  /** There was more output than is kept, and all of it was asked for. */
  | "TRUNCATED"
  /** No node answers, or none has a quorum. A write may have happened all the same. */
  | "UNAVAILABLE"
  /** This version, or this place, cannot do it. */
  | "UNSUPPORTED"
;

interface Error {
  /** Errors of Disco's own globals have one; scripts may give theirs others. */
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

/** Timers end with the call that has started them; those that a hook with a `signal` leaves behind, when that aborts. */
/** Timers end with the call that has started them; those that a hook with a `signal` leaves behind, when that aborts. */
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
  /** Milliseconds since `timeOrigin`, by a clock that is never set. */
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
  /** Each `set-cookie` by itself, as a cookie may hold commas. */
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

/** The answer to `fetch`. Its body is there already: at most 1 MiB. */
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
 * HTTP/1.1, plain or over TLS. Gives up after a minute. A name and password in the URL are sent as basic authorization. A body
 * compressed by gzip, deflate or brotli is decoded.
 */
declare function fetch(url: string | URL, options?: {
  method?: string;
  headers?: HeadersInit;
  body?: string | Uint8Array | ArrayBuffer | URLSearchParams | null;
  redirect?: "follow" | "manual" | "error";
  signal?: AbortSignal | null;
}): Promise<Response>;
