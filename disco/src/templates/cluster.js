// Runs on every node. All functions are optional.

export async function init() {
  const provider = await LocalProvider.init({ name: "@NAME@" });

  return new Cluster({ name: "@NAME@", provider });
}

// Runs on the new leader; `signal` aborts when the node loses the leadership.
export async function leader(cluster, node, signal) {
  console.log(`(leader) ${cluster} - ${node}`);
}

// Runs on every node every ten seconds, and reports that node's health.
export async function health(cluster, node) {
  return true;
}

// Runs on the leader for `disco deploy`.
export async function deploy(cluster, deployment) {
  for (const node of await cluster.nodes()) {
    if (!node.healthy) {
      console.warn(`(deploy) ${node} is not healthy: skipped`);
      continue;
    }
    const { stdout } = await node.run("uname -n");
    console.log(`(deploy) ${node} is on ${stdout.trim()}`);
  }
}
