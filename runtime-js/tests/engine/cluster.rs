//! The seed's scripts, and every method of the objects.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use disco_runtime_js::*;
use serde_json::json;

fn seed(name: &str) -> ModuleSource {
    ModuleSource::directory(name, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/seed"))
}

#[tokio::test]
async fn the_seeds_client_script_runs_unchanged() {
    let bench = bench();
    let loaded = bench.engine.load(seed("client.js"), with_init()).await.unwrap();
    assert_eq!(loaded.exports, ["bootstrap", "init"]);
    let provider = loaded.cluster.unwrap().provider.unwrap();
    assert_eq!(provider.kind, cluster::ProviderKind::Aws);
    assert_eq!(provider.options, json!({ "name": "heavyobjects", "region": "us-west-2" }));

    let result = bench.engine.call("bootstrap", vec![Arg::Cluster], CallOptions::new()).await.unwrap();
    assert_eq!(result, Some(json!("Complete cluster")));
    let said = [
        "(init) Initializing provider...",
        "(bootstrap) Cluster(heavyobjects)",
        "(bootstrap) Bootstrapping cluster...",
        "(bootstrap) Starting instance...",
        "(bootstrap) Attaching IP...",
    ];
    assert_eq!(bench.console.all(), said);
    let done = [
        "define_cluster heavyobjects",
        "healthy",
        "ask Do you want to bootstrap the cluster? None",
        "set_key_pair ./id_ed25519 ./id_ed25519.pub",
        "start_instance {\"image\":\"ami-0e8c824f386e1de06\",\"instance_type\":\"t4g.micro\"}",
        "attach_ip",
        "ssh_install",
        "scale 3",
    ];
    assert_eq!(bench.effects.all()[1..], done);

    // The second time the cluster is healthy.
    let result = bench.engine.call("bootstrap", vec![Arg::Cluster], CallOptions::new()).await.unwrap();
    assert_eq!(result, None);
    assert_eq!(bench.console.all().last().unwrap(), "(bootstrap) Cluster is ready, exiting...");
}

#[tokio::test]
async fn the_seeds_client_script_takes_no_for_an_answer() {
    let bench = bench_with(|options| {
        options.hosts.prompt = Some(std::sync::Arc::new(FakePrompt(Record::default(), json!(false))));
    });
    bench.engine.load(seed("client.js"), with_init()).await.unwrap();
    let result = bench.engine.call("bootstrap", vec![Arg::Cluster], CallOptions::new()).await.unwrap();
    assert_eq!(result, None);
    assert_eq!(bench.console.all().last().unwrap(), "(bootstrap) User declined to bootstrap, exiting...");
    assert!(!bench.effects.all().iter().any(|line| line.starts_with("start_instance")));
}

#[tokio::test]
async fn the_seeds_cluster_script_runs_unchanged() {
    let bench = bench();
    let loaded = bench.engine.load(seed("cluster.js"), with_init()).await.unwrap();
    assert!(loaded.has("leader") && !loaded.has("health"));
    bench.engine.call("leader", vec![Arg::Cluster, Arg::Node(node(3)), Arg::Signal], limited()).await.unwrap();
    assert_eq!(bench.console.all().last().unwrap(), "(leader) Cluster(heavyobjects) - Node(3 web-3 10.0.0.3)");
}

#[tokio::test]
async fn every_method_of_a_cluster_reaches_its_host() {
    let bench = bench();
    let result = bench
        .eval(
            "const provider = await HostsProvider.init({ name: 'p', hosts: ['root@10.0.0.1:22'] });
            const cluster = new Cluster({ name: 'c', provider, pace: 'fast' });
            const results = {
              provider: [`${provider}`, provider.name, provider.kind, cluster.provider === provider, cluster.name],
              healthy: await cluster.healthy(),
              set_key_pair: await cluster.set_key_pair({ private: 'a', public: 'b' }),
              start_instance: await cluster.start_instance({ image: 'x' }),
              start_nothing: (await cluster.start_instance()).id,
              attach_ip: await cluster.attach_ip(),
              ssh_install: await cluster.ssh_install(),
              scale: await cluster.scale(2),
              nodes: await cluster.nodes(),
              leader: `${await cluster.leader()}`,
              deploy: await cluster.deploy({ services: {} }),
              deployments: await cluster.deployments(),
              service: [await cluster.service('web'), await cluster.service('other')],
              events: await cluster.events(),
              destroy: await cluster.destroy(),
            };
            const [node] = await cluster.nodes();
            results.node = [node.id, node.name, node.address, node.role, node.healthy, node.labels];
            results.run = await node.run('uptime', { timeout: 1500 });
            results.copy = await node.copy('a/b', '/etc/b', { mode: 0o640 });
            results.frozen = (() => { try { node.id = 9; } catch (error) { return error.name; } })();
            return results;",
        )
        .await
        .unwrap();
    assert_eq!(result["provider"], json!(["HostsProvider(p)", "p", "hosts", true, "c"]));
    assert_eq!(result["healthy"], json!(false));
    assert_eq!(
        result["start_instance"],
        json!({ "id": "i-1", "name": "web-1", "address": "10.0.0.1", "state": "running" })
    );
    assert_eq!(result["attach_ip"], json!("203.0.113.1"));
    assert_eq!(result["nodes"][2], serde_json::to_value(node(3)).unwrap());
    assert_eq!(result["leader"], json!("Node(1 web-1 10.0.0.1)"));
    assert_eq!(result["service"], json!([service("web"), null]));
    assert_eq!(result["deploy"], json!({ "id": 1, "services": [service("web")] }));
    assert_eq!(result["events"], json!([{ "kind": "node.joined" }]));
    assert_eq!(result["node"], json!([1, "web-1", "10.0.0.1:5080", "leader", true, { "zone": "a" }]));
    assert_eq!(result["run"], json!({ "code": 0, "stdout": "out\n", "stderr": "", "truncated": false }));
    assert_eq!(result["frozen"], json!("TypeError"));
    for method in ["set_key_pair", "ssh_install", "scale", "destroy", "copy"] {
        assert!(result.get(method).is_none(), "{method} gives undefined or null: {result}");
    }
    let effects = bench.effects.all();
    assert!(effects.contains(&"node_run 1 uptime Some(1.5s)".to_owned()), "{effects:?}");
    assert!(effects.contains(&"node_copy 1 a/b /etc/b Some(416)".to_owned()), "{effects:?}");
    assert!(effects.contains(&"deploy {\"services\":{}}".to_owned()), "{effects:?}");
}

#[tokio::test]
async fn a_service_is_scaled_restarted_and_awaited() {
    let bench = bench();
    let result = bench
        .eval(
            "const service = await new Cluster({ name: 'c' }).service('web');
            const scaled = await service.scale(5);
            const restarted = await scaled.restart();
            const healthy = await restarted.wait_healthy({ timeout: 1500 });
            await healthy.wait_healthy();
            return [`${service}`, service.desired, scaled.desired, `${restarted}`, healthy.healthy, scaled instanceof Service];",
        )
        .await
        .unwrap();
    assert_eq!(result, json!(["Service(shop/web)", 1, 5, "Service(shop/web)", 1, true]));
    let effects = bench.effects.all();
    for expected in [
        "change_service shop/web Scale(5)",
        "change_service shop/web Restart",
        "wait_healthy shop/web Some(1.5s)",
        "wait_healthy shop/web None",
    ] {
        assert!(effects.contains(&expected.to_owned()), "{expected}: {effects:?}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_told_at_once() {
    let bench = bench();
    for (code, message) in [
        ("new Cluster()", "TypeError: new Cluster must get an object of options"),
        ("new Cluster({ name: '' })", "TypeError: `name` of new Cluster must be a non-empty string"),
        (
            "new Cluster({ name: 'c', provider: AwsProvider.init({ name: 'p' }) })",
            "TypeError: `provider` of new Cluster must be the result of AwsProvider.init, LocalProvider.init or HostsProvider.init: `await` is missing before it",
        ),
        (
            "new Cluster({ name: 'c', provider: {} })",
            "TypeError: `provider` of new Cluster must be the result of AwsProvider.init, LocalProvider.init or HostsProvider.init",
        ),
        ("await AwsProvider.init({})", "TypeError: `name` of AwsProvider.init must be a non-empty string"),
        ("await LocalProvider.init()", "TypeError: LocalProvider.init must get an object of options"),
        ("new AwsProvider({ name: 'p' })", "TypeError: use `await AwsProvider.init({ ... })`"),
        ("await new Cluster({ name: 'c' }).scale('3')", "TypeError: `scale` needs a whole number of nodes"),
        ("await new Cluster({ name: 'c' }).scale(-1)", "TypeError: `scale` needs a whole number of nodes"),
        (
            "await new Cluster({ name: 'c' }).set_key_pair({ private: 'a' })",
            "TypeError: `public` must be a non-empty string",
        ),
        ("(await new Cluster({ name: 'c' }).nodes())[0].run()", "TypeError: `command` must be a non-empty string"),
        (
            "(await new Cluster({ name: 'c' }).service('web')).scale('5')",
            "TypeError: `service.scale` needs a whole number of copies",
        ),
    ] {
        let error = bench.eval(&format!("const x = {code}; await x;")).await.unwrap_err();
        assert_eq!(error.message, message, "{code}");
        assert_eq!(error.line, Some(2), "{code}: {error:?}");
    }
}

#[tokio::test]
async fn without_a_host_it_says_so() {
    let bench = bench_with(|options| {
        options.hosts.cluster = None;
        options.hosts.prompt = None;
    });
    for (code, message) in [
        ("await LocalProvider.init({ name: 'p' })", "providers and clusters are not available here"),
        ("new Cluster({ name: 'c' })", "providers and clusters are not available here"),
        ("await ask('?')", "`ask` works in client.js only: no operator is here to answer"),
    ] {
        let error = bench.eval(code).await.unwrap_err();
        assert_eq!((error.message.as_str(), error.code.as_deref()), (message, Some("UNSUPPORTED")));
    }
}
