const cluster = () => new Cluster({ name: "c" });

export async function init() {
  return cluster();
}

export async function all(node) {
  const tries = {
    READ: () => cluster().nodes(),
    CLOUD: () => cluster().scale(1),
    KV: () => cluster().kv.put("a", "b"),
    NODES: () => node.run("x"),
    NET: () => tcp.connect("127.0.0.1:1"),
    PROCESS: () => $`true`,
    ASK: () => ask("?"),
  };
  const denied = [];
  for (const act of Object.values(tries)) {
    try {
      await act();
    } catch (error) {
      if (error.code === "NOT_ALLOWED") denied.push(error.message);
    }
  }
  return denied;
}

export async function sneaky() {
  setTimeout(() => cluster().scale(7).catch((error) => console.log("timer: " + error.code)), 1);
  Promise.resolve().then(() => cluster().scale(7)).catch((error) => console.log("promise: " + error.code));
  await delay(20);
}
