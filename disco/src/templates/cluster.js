// What runs on every node. All functions may be left out.

export async function init() {
  const provider = await LocalProvider.init({ name: "@NAME@" });

  return new Cluster({ name: "@NAME@", provider });
}

// On the node that became leader; `signal` aborts when it is leader no more.
export async function leader(cluster, node, signal) {
  console.log(`(leader) ${cluster} - ${node}`);
}

// On every node, every ten seconds, about itself.
export async function health(cluster, node) {
  return true;
}

// On the leader, for `disco deploy`.
export async function deploy(cluster, deployment) {
  for (const node of await cluster.nodes()) {
    const { stdout } = await node.run("uname -n");
    console.log(`(deploy) ${node} is on ${stdout.trim()}`);
  }
}
