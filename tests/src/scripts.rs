/// A `client.js` that makes `nodes` local nodes.
#[must_use]
pub fn client_script(name: &str, nodes: u32) -> String {
    format!(
        r#"
export async function init() {{
  const provider = await LocalProvider.init({{ name: "{name}" }});
  return new Cluster({{ name: "{name}", provider }});
}}

export async function bootstrap(cluster) {{
  if (await cluster.healthy()) {{
    return `${{cluster}} is ready`;
  }}
  if (!(await ask("Do you want to bootstrap the cluster?", {{ default: true }}))) {{
    return;
  }}
  await cluster.start_instance({{}});
  await cluster.attach_ip();
  await cluster.ssh_install();
  await cluster.scale({nodes});
  return `${{cluster}} is complete`;
}}

export async function greet(cluster, name = "you") {{
  return `Hello ${{name}}, from ${{await cluster.leader()}}`;
}}
"#
    )
}

/// A script whose `init` names the same provider; the `hooks` of a `cluster.js`, or the functions of a `client.js`, follow it.
#[must_use]
pub fn cluster_script(name: &str, hooks: &str) -> String {
    format!(
        r#"export async function init() {{
  const provider = await LocalProvider.init({{ name: "{name}" }});
  return new Cluster({{ name: "{name}", provider }});
}}
{hooks}
"#
    )
}
