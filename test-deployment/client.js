// What runs on your machine: `disco bootstrap` and `disco do`.

// Where AWS credentials are configured the machines come from there, otherwise they are made on this computer.
const aws = Boolean(env.AWS_ACCESS_KEY_ID || env.AWS_PROFILE);

export async function init() {
  console.log("(init) Initializing provider...");

  let provider = aws
    ? await AwsProvider.init({
        name: "heavyobjects",
        region: "us-west-2",
        // profile: "default",
      })
    : await LocalProvider.init({ name: "heavyobjects" });

  return new Cluster({
    name: "heavyobjects",
    provider,
  });
}

export async function bootstrap(cluster) {
  console.log(`(bootstrap) ${cluster}`);

  if (await cluster.healthy()) {
    console.log(`(bootstrap) Cluster is ready, exiting...`);

    return;
  }

  let yes = await ask("Do you want to bootstrap the cluster?");
  if (!yes) {
    console.log(`(bootstrap) User declined to bootstrap, exiting...`);
    return;
  }

  console.log(`(bootstrap) Bootstrapping cluster...`);

  // Without this call Disco makes a key pair of its own for the project.
  if (aws) {
    await cluster.set_key_pair({
      private: "./id_ed25519",
      public: "./id_ed25519.pub",
    });
  }

  console.log("(bootstrap) Starting instance...");

  // Machines on this computer have neither: the same call does for both.
  await cluster.start_instance({
    image: "ami-0e8c824f386e1de06", // Ubuntu 22.04 LTS
    instance_type: "t4g.micro",
  });

  console.log("(bootstrap) Attaching IP...");

  await cluster.attach_ip();

  await cluster.ssh_install();

  await cluster.scale(3);

  return `Complete cluster`;
}

// `disco do uptime`: what each node's machine says.
export async function uptime(cluster) {
  let lines = [];
  for (let node of await cluster.nodes()) {
    let { stdout } = await node.run("uptime");
    lines.push(`${node}: ${stdout.trim()}`);
  }

  return lines.join("\n");
}
