// Uses every global and every method once, with the types that `disco.d.ts` gives them.

/** @type {ClientScript["init"]} */
export async function init() {
  const local = await LocalProvider.init({ name: "p", dir: "machines" });
  const hosts = await HostsProvider.init({ name: "p", hosts: ["root@10.0.0.1:22"] });
  const aws = await AwsProvider.init({ name: "p", region: "us-west-2", profile: "x", endpoint: "http://127.0.0.1" });
  const provider = env.AWS_PROFILE ? aws : env.HOSTS ? hosts : local;
  console.log(`${provider}`, provider.name, provider.kind);
  return new Cluster({ name: "c", provider, pace: "fast" });
}

/** @type {NonNullable<ClientScript["bootstrap"]>} */
export async function bootstrap(cluster) {
  if (await cluster.healthy()) return;
  const yes = await ask("Really?");
  const name = await ask("Name?", { default: "web" });
  const count = await ask("How many?", { default: 3 });
  if (!yes) return name.toUpperCase();
  await cluster.set_key_pair({ private: "a", public: "b" });
  const instance = await cluster.start_instance({ image: "x", instance_type: "y", tags: { a: "b" } });
  console.info(instance.id, instance.name, instance.address?.length, instance.state === "running");
  const address = await cluster.attach_ip();
  await cluster.attach_ip("web-2");
  console.debug(address?.length);
  await cluster.ssh_install();
  await cluster.scale(count + 1);
  return `${cluster.name} ${cluster.provider?.name}`;
}

/** @type {NonNullable<ClusterScript["leader"]>} */
export async function leader(cluster, node, signal) {
  signal.addEventListener("abort", (event) => console.warn(event.type, signal.reason));
  while (!signal.aborted) await delay(1000, { signal });
  for (const other of await cluster.nodes()) console.log(`${other}`, other.id + 1, other.role, other.labels.zone, other.healthy);
  const first = await cluster.leader();
  const { code, stdout, stderr, truncated } = await (first ?? node).run("uptime", { timeout: 1000 });
  if (code !== 0 || truncated) throw new Error(stderr + stdout);
  await node.copy("a", "/b", { mode: 0o644 });
  await cluster.deploy();
  const deployed = await cluster.deploy("stack.yml");
  const web = (await cluster.service("shop/web")) ?? deployed.services[0];
  const scaled = await web.scale(web.desired + 1);
  await scaled.restart();
  const { healthy, endpoints, ports } = await scaled.wait_healthy({ timeout: 5000 });
  console.log(`${web}`, healthy > 0, endpoints[0].address, endpoints[0].draining, ports[0]?.mode, scaled.state === "complete");
  const [deployment] = await cluster.deployments();
  const events = await cluster.events();
  console.error(deployment.id, events[0].kind, events[0].node, events[0].data.x);
  await cluster.destroy();
}

/** @type {NonNullable<ClusterScript["place"]>} */
export function place(service, nodes) {
  if (service.labels.big && service.index === 1) return nodes.find((node) => node.labels.zone === "a") ?? null;
  return nodes.map((node) => node.memory_free / (1 + node.tasks + node.tasks_of_service) - service.memory);
}

/** @type {NonNullable<ClusterScript["health"]>} */
export async function health(_cluster, node) {
  const { ok, body, ms, headers, status } = await http.get("http://127.0.0.1:80/", { timeout: 100 });
  const peer = await tcp.connect("127.0.0.1:80", { timeout: 100 });
  return { healthy: ok && status === 200, reason: `${body} ${ms} ${headers.get("a")} ${peer.address} ${peer.ms} ${node}` };
}

/** @param {Cluster} cluster */
export async function keys({ kv }) {
  const entry = await kv.get("a");
  console.log(entry?.value, entry?.mod_revision, (await kv.list("b/", { limit: 2 })).length);
  const { revision } = await kv.put("a", "b", { lease: 1 });
  const { deleted } = await kv.delete("a", { prefix: true });
  const { succeeded, responses } = await kv.txn({
    if: [{ key: "lock", create_revision: 0 }, { key: "a", op: "!=", value: "x" }],
    then: [{ put: "lock", value: "me" }, { get: "a" }],
    else: [{ delete: "b", prefix: true }],
  });
  console.log(revision + deleted, succeeded, responses[0].get?.[0].key);
  const watch = kv.watch("b", { signal: new AbortController().signal });
  await watch.return();
  for await (const event of kv.watch("a", { prefix: true, start_revision: 1 })) {
    if (event.type === "put") console.log(event.value, event.version);
    else console.log(event.key, event.mod_revision);
  }
}

export async function web() {
  const controller = new AbortController();
  const response = await fetch(new URL("/x", "https://example.com"), {
    method: "POST", headers: { a: "b" }, body: new URLSearchParams({ a: 1 }), redirect: "manual",
    signal: AbortSignal.any([controller.signal, AbortSignal.timeout(5)]),
  });
  controller.abort("why");
  console.log(response.ok, response.status, response.statusText, response.url, (await response.json()).x, await response.text());
  const url = new URL("http://a/b?c=d");
  url.searchParams.append("e", "f");
  url.port = "80";
  const timer = setTimeout((text) => console.log(text), 5, "x");
  clearTimeout(timer);
  clearInterval(setInterval(() => {}, 5));
  queueMicrotask(() => {});
  const copy = structuredClone({ a: 1 });
  const bytes = new TextEncoder().encode("x");
  console.log(new TextDecoder("utf-8", { fatal: true }).decode(bytes), copy.a, crypto.randomUUID().length, url.href, [...new Headers({ a: "b" })]);
  console.group("g");
  console.groupEnd();
  console.assert(true);
  console.table([{ a: 1 }], ["a"]);
  console.log(atob(btoa("x")), performance.now() + performance.timeOrigin, response.headers.getSetCookie().length);
}

export async function commands() {
  const result = await $`ls ${"a b"} ${["x", 1]}`.nothrow().timeout(1000).signal(new AbortController().signal)
    .stdin(new Uint8Array(2)).stdin("text").cwd("lib").env({ A: 1, B: undefined }).pipefail();
  console.log(`${result}`, result.code, result.stdout, result.stderr, result.truncated, (await $`x`.lines()).length, (await $`x`.json()).y);
  try {
    await $`false`;
  } catch (error) {
    if (error instanceof Error && error.code === "EXIT") console.log("failed");
    /** @type {ErrorCode} */
    const code = "TIMEOUT";
    if (error instanceof Error && error.code === code) console.log("too slow");
  }
}
