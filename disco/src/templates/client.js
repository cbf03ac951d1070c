// Runs on your machine, for `disco bootstrap` and `disco do`.

export async function init() {
  const provider = await LocalProvider.init({ name: "@NAME@" });

  return new Cluster({ name: "@NAME@", provider });
}

// Can be run again at any time: it does only what is missing.
export async function bootstrap(cluster) {
  if (await cluster.healthy()) {
    return `${cluster} is ready`;
  }
  if (!(await ask("Do you want to bootstrap the cluster?", { default: true }))) {
    return;
  }

  await cluster.start_instance({});
  await cluster.ssh_install();
  await cluster.scale(3);

  return `${cluster} is complete`;
}

// Any other exported function is a command: `disco do greet world`.
export async function greet(cluster, name = "you") {
  const leader = await cluster.leader();

  return `Hello ${name}, from ${leader}`;
}
