//! Stacks and services in scripts, of the operator and of the cluster.

use disco_tests::{SOON, wait_for};
use serde_json::json;

use super::support::{Bed, Stack};

const CLIENT: &str = "
export async function init() {
  return new Cluster({ name: 'raw', provider: await LocalProvider.init({ name: 'raw' }) });
}
export async function up(cluster, file) {
  const deployed = file ? await cluster.deploy(file) : await cluster.deploy();
  console.log(JSON.stringify({ id: deployed.id, stack: deployed.stack, services: deployed.services.map((service) => `${service}`) }));
}
export async function grow(cluster, copies) {
  const web = await cluster.service('web');
  const grown = await web.scale(Number(copies));
  const restarted = await (await cluster.service('shop/store')).restart();
  const healthy = await grown.wait_healthy({ timeout: 20000 });
  console.log(JSON.stringify([web.desired, grown.desired, healthy.healthy, healthy.endpoints.length, restarted.state, await cluster.service('gone')]));
}
export async function waits(cluster) {
  try { await (await cluster.service('web')).wait_healthy({ timeout: 300 }); } catch (error) { console.log(error.code, error.message); }
}
";

#[test]
fn a_script_of_the_operator_deploys_scales_restarts_and_waits() {
    let bed = Bed::new();
    bed.project.write("client.js", CLIENT);
    Stack::new("v1").write(&bed.project);
    let up = |args: &[&str]| bed.project.disco(&[&["do", "up"], args].concat());
    let first = up(&[]).ok();
    assert!(
        first.stderr.contains(r#"{"id":1,"stack":"shop","services":["Service(shop/store)","Service(shop/web)"]}"#),
        "{first}"
    );
    // Nothing differs.
    assert!(up(&["stack.yml"]).ok().stderr.contains(r#""id":1,"#));
    assert_eq!(bed.web().len(), 3);
    let grown = bed.project.disco(&["do", "grow", "4"]).ok();
    assert!(grown.stderr.contains(r#"[3,4,4,4,"complete",null]"#), "{grown}");
    assert_eq!(bed.web().len(), 4);

    // A bad version: the script's error has the code of `disco deploy`.
    Stack { environment: "SAMPLE_CRASH: 1", ..Stack::new("v2") }.write(&bed.project);
    up(&[]).expect(10).says(&["the previous version runs"]);
    up(&["gone.yml"]).expect(2);
    for node in ["raw-1", "raw-2", "raw-3"] {
        bed.project.disco(&["drain", node, "--detach"]).ok();
    }
    wait_for(SOON, "a service without nodes", || {
        let waits = bed.project.disco(&["do", "waits"]).ok();
        let shown = waits.stderr.contains("TIMEOUT") && waits.stderr.contains("drained");
        if shown { Ok(()) } else { Err(waits.to_string()) }
    });
}

#[test]
fn a_hook_of_the_cluster_scales_restarts_and_waits() {
    let bed = Bed::deployed();
    bed.project.write(
        "cluster.js",
        "export async function deploy(cluster) {
           const web = await cluster.service('web');
           const grown = await web.scale(web.desired + 1);
           const store = await (await cluster.service('shop/store')).restart();
           const healthy = await grown.wait_healthy();
           let code;
           try { await cluster.deploy('stack.yml') } catch (error) { code = error.code }
           return [web.desired, grown.desired, healthy.healthy, store.healthy, await cluster.service('gone'), code];
         }",
    );
    std::fs::remove_file(bed.project.path("stack.yml")).unwrap();
    let deployed = bed.project.disco(&["deploy", "-o", "json"]).ok().json();
    assert_eq!(deployed["result"], json!([3, 4, 4, 1, null, "UNSUPPORTED"]), "{deployed}");
    assert_eq!(bed.web().len(), 4);
}

/// The nodes of the tasks of `web` that run.
fn nodes_of_web(bed: &Bed) -> Vec<u64> {
    let tasks = bed.ps();
    let web = tasks.iter().filter(|task| task["service"] == "web" && task["state"] == "running");
    web.map(|task| task["node"].as_u64().unwrap()).collect()
}

#[test]
fn a_hook_chooses_nodes_and_the_cluster_does_without_it() {
    let bed = Bed::new();
    let push = |place: &str| {
        bed.project.write("cluster.js", &format!("export {place}"));
        bed.project.disco(&["script", "push"]).ok();
    };
    let failures = || {
        let events = bed.project.disco(&["events", "-n", "200", "-o", "jsonl"]).ok().jsonl();
        let failed =
            events.into_iter().filter(|event| event["kind"] == "script.failed" && event["data"]["hook"] == "place");
        failed.map(|event| event["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    push("function place(service, nodes) { return service.name === 'web' ? 'raw-2' : undefined; }");
    bed.deploy(&Stack::new("v1")).ok();
    assert_eq!(nodes_of_web(&bed), [2, 2, 2]);
    // A node on which nothing may start is passed over.
    bed.project.disco(&["drain", "raw-2"]).ok();
    assert!(!nodes_of_web(&bed).contains(&2));
    bed.project.disco(&["undrain", "raw-2"]).ok();
    push("async function place(service, nodes) { return nodes.map((node) => node.id === 3 ? 1 : -node.tasks); }");
    bed.deploy(&Stack::new("v2")).ok();
    assert_eq!(nodes_of_web(&bed), [3, 3, 3]);
    assert_eq!(failures(), Vec::<String>::new());

    // One that throws, one that reads the cluster, one that never ends: the cluster chooses, and says why.
    for (version, place, why) in [
        ("v3", "function place() { throw new Error('no idea'); }", "no idea"),
        ("v4", "async function place() { return http.get('http://127.0.0.1:1/'); }", "not"),
        ("v5", "function place() { return 'nowhere'; }", "none of the nodes"),
        ("v6", "function place() { for (;;); }", "place"),
    ] {
        push(place);
        bed.deploy(&Stack::new(version)).ok();
        let nodes = nodes_of_web(&bed);
        assert!(nodes.len() == 3 && nodes.iter().any(|node| *node != nodes[0]), "{place}: {nodes:?}");
        wait_for(SOON, "the reason", || {
            let known = failures();
            if known.last().is_some_and(|last| last.contains(why)) { Ok(()) } else { Err(format!("{known:#?}")) }
        });
    }
}
