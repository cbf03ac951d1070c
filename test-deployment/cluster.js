// What runs on every node.

export async function init() {
  console.log("(init) Initializing provider...");

  // A node on a machine of this computer knows which one.
  let provider = env.DISCO_MACHINE
    ? await LocalProvider.init({ name: "heavyobjects" })
    : await AwsProvider.init({
        name: "heavyobjects",
        region: "us-west-2",
        // profile: "default",
      });

  return new Cluster({
    name: "heavyobjects",
    provider,
  });
}

export async function leader(cluster, node) {
  console.log(`(leader) ${cluster} - ${node}`);
}

// Every ten seconds, about the node itself.
export async function health(cluster, node) {
  return true;
}

// `disco deploy`: a greeting on every node.
export async function deploy(cluster, deployment) {
  let nodes = await cluster.nodes();
  for (let node of nodes) {
    await node.copy("greeting.txt", "/tmp/heavyobjects-greeting.txt");
    let { code, stdout } = await node.run("cat /tmp/heavyobjects-greeting.txt");
    console.log(`(deploy) ${node}: ${stdout.trim()}`);
    if (code !== 0) {
      throw new Error(`${node} has no greeting`);
    }
  }

  return `greeted ${nodes.length} nodes`;
}
