//! The `deploy` hook: its output, its failures, and the end of its leader.

use std::os::unix::fs::PermissionsExt;

use disco_proto::v1::MoveLeaderRequest;
use disco_proto::v1::deploy_output::Output;
use disco_tests::{SOON, block, is_alive, wait_for};
use tonic::Code;

use super::support::{Bed, follow, hash, next};

#[test]
fn a_deployment_runs_and_copies_on_every_node_and_streams_its_output() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    let none = bed.deploy(&follower, &[]).unwrap_err();
    assert!(none.code() == Code::FailedPrecondition && none.message().contains("no `cluster.js`"), "{none}");
    bed.push(&follower, "").unwrap();
    let none = bed.deploy(&follower, &[]).unwrap_err();
    assert!(none.code() == Code::FailedPrecondition && none.message().contains("exports no `deploy`"), "{none}");

    let folder = bed.cluster.folder().join("deployed");
    let hook = format!(
        "export async function deploy(cluster, {{ version, files, variables }}) {{
           console.log(`deployment ${{version}} of ${{cluster}}: ${{files.map((file) => file.path)}} ${{variables.tag}}`);
           for (const node of await cluster.nodes()) {{
             await node.copy('./app/config.txt', `{folder}/${{node.id}}/config.txt`, {{ mode: 0o640 }});
             const {{ code, stdout, stderr }} = await node.run(`cat {folder}/${{node.id}}/config.txt; echo bad >&2; exit 7`);
             console.warn(`${{node.id}}: ${{code}} ${{stdout.trim()}} ${{stderr.trim()}}`);
           }}
           try {{ await (await cluster.leader()).copy('not/there', '/x') }} catch (error) {{ console.log(`${{error.code}}`) }}
           try {{ await cluster.kv.put('/disco/x', '1') }} catch (error) {{ console.log(`${{error.code}}`) }}
           try {{ await (await cluster.leader()).run('sleep 60', {{ timeout: 100 }}) }} catch (error) {{ console.log(`${{error.code}}`) }}
           await cluster.kv.put('deployed', `${{version}}`);
           return {{ of: (await cluster.deployments()).length }};
         }}",
        folder = folder.display()
    );
    bed.push(&follower, &hook).unwrap();
    let said = follow(bed.deploy(&follower, &[("app/config.txt", "one\n")]).unwrap());
    let finished = said.finished.clone().unwrap_or_else(|| panic!("{said:#?}"));
    assert!(finished.succeeded && finished.result == r#"{"of":1}"#, "{said:#?}");
    assert_eq!(said.deployment, 1);
    let expected = [
        "info: deployment 1 of Cluster(raw): app/config.txt v2",
        "warn: 1: 7 one bad",
        "warn: 2: 7 one bad",
        "warn: 3: 7 one bad",
        "info: NOT_FOUND",
        "info: NOT_ALLOWED",
        "info: TIMEOUT",
    ];
    assert_eq!(said.lines, expected, "{said:#?}");
    for id in 1..=3 {
        let file = folder.join(id.to_string()).join("config.txt");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
    assert_eq!(bed.get("deployed").as_deref(), Some("1"));
    bed.wait_for_event("deploy.started", "deployment 1");
    bed.wait_for_event("deploy.finished", "deployment 1");
    let record = bed.wait_for_deployment("succeeded");
    assert_eq!(record["id"], 1, "{record:#}");
    assert_eq!(record["files"][0]["sha256"], hash("one\n"));

    // An exception is reported with its position.
    bed.push(
        &follower,
        "export async function deploy() {\n  console.log('half way');\n  throw new RangeError('no cake');\n}",
    )
    .unwrap();
    let said = follow(bed.deploy(&follower, &[]).unwrap());
    let finished = said.finished.unwrap();
    let failure = finished.failure.unwrap();
    assert!(!finished.succeeded && finished.error.starts_with("cluster.js:4:"), "{}", finished.error);
    assert_eq!((failure.line, failure.message.as_str()), (4, "RangeError: no cake"));
    assert!(failure.source_line.contains("throw new RangeError"), "{failure:?}");
    assert_eq!((said.deployment, said.lines), (2, vec!["info: half way".to_owned()]));
    bed.wait_for_event("deploy.failed", "no cake");
}

#[test]
fn one_deployment_at_a_time_continues_without_its_client_and_ends_with_its_leader() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    bed.push(
        &follower,
        "export async function deploy(cluster, { version }) {
           console.log('waiting');
           while (!(await cluster.kv.get(`go/${version}`))) await delay(20);
           await cluster.kv.put(`went/${version}`, 'yes');
         }",
    )
    .unwrap();
    let mut first = bed.deploy(&follower, &[]).unwrap();
    assert!(matches!(next(&mut first), Output::Started(started) if started.deployment == 1));
    assert!(matches!(next(&mut first), Output::Line(line) if line.text == "waiting"));
    let second = bed.deploy(&follower, &[]).unwrap_err();
    assert!(
        second.code() == Code::FailedPrecondition && second.message().contains("deployment 1 is running"),
        "{second}"
    );
    // The client disconnects.
    drop(first);
    bed.api.put(&bed.cluster.addresses(), "go/1", "now", SOON).unwrap();
    assert_eq!(bed.wait_for_key("went/1"), "yes");
    bed.wait_for_event("deploy.finished", "deployment 1");

    // The leader loses its leadership.
    let mut output = bed.deploy(&follower, &[]).unwrap();
    assert!(matches!(next(&mut output), Output::Started(started) if started.deployment == 2));
    let (old, leader) = bed.leader();
    block(bed.api.control(&leader).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    let said = follow(output);
    let finished = said.finished.unwrap();
    assert!(!finished.succeeded && finished.error.contains("leader changed"), "{finished:?}");
    wait_for(SOON, "the record of the abandoned run", || {
        let records = bed.records("/disco/deployments/");
        let last = records.last().cloned().unwrap_or_default();
        let ended = last["state"] == "failed" && last["error"] == "leader changed during the run";
        if ended { Ok(()) } else { Err(format!("{last:#}")) }
    });
    assert_ne!(bed.leader().0, old);
    bed.wait_for_event("deploy.failed", "deployment 2");
    // It was not continued, and another one may begin.
    bed.api.put(&bed.cluster.addresses(), "go/2", "now", SOON).unwrap();
    bed.api.put(&bed.cluster.addresses(), "go/3", "now", SOON).unwrap();
    let (_, follower) = bed.follower();
    let said = follow(bed.deploy(&follower, &[]).unwrap());
    assert!(said.deployment == 3 && said.finished.as_ref().unwrap().succeeded, "{said:?}");
    assert_eq!(bed.get("went/2"), None);
}

#[test]
fn the_next_leader_marks_a_deployment_of_a_killed_leader_as_failed() {
    let mut bed = Bed::new(3);
    let (_, follower) = bed.follower();
    bed.push(&follower, "export async function deploy() { console.log('waiting'); while (true) await delay(50); }")
        .unwrap();
    let mut output = bed.deploy(&follower, &[("x", "y")]).unwrap();
    assert!(matches!(next(&mut output), Output::Started(_)));
    assert!(matches!(next(&mut output), Output::Line(_)));
    let (old, leader) = bed.leader();
    let at = bed.cluster.nodes.iter().position(|node| node.address.to_string() == leader).unwrap();
    bed.cluster.nodes[at].kill();
    let said = follow(output);
    assert!(said.finished.is_none(), "the stream ends without a word: {said:?}");
    let failed = bed.wait_for_event("deploy.failed", "leader changed during the run");
    assert_eq!(failed["data"]["deployment"], 1, "{failed:#}");
    let record = bed.wait_for_deployment("failed");
    assert_eq!(record["leader"], old, "{record:#}");
    assert!(record["finished_at"].is_string() && record["files"][0]["path"] == "x", "{record:#}");
}

#[test]
fn a_failed_deployment_does_nothing_more_on_any_node() {
    let bed = Bed::new(3);
    let (_, leader) = bed.leader();
    let folder = bed.cluster.folder().to_owned();
    let command =
        format!("touch {0}/begun.$$; until [ -e {0}/go ]; do sleep 0.05; done; touch {0}/went-on", folder.display());
    bed.push(
        &leader,
        &format!(
            "export async function deploy(cluster) {{
               const nodes = await cluster.nodes();
               const begun = async () => {{ while ((await cluster.kv.list('begun/')).length < 3) await delay(10); }};
               await Promise.all([
                 ...nodes.map((node) => node.run(`{command}`)),
                 (async () => {{ for (;;) {{ await cluster.kv.put('tick', `${{Date.now()}}`); await delay(20); }} }})(),
                 begun().then(() => {{ throw new Error('this branch fails') }}),
               ]);
             }}"
        ),
    )
    .unwrap();
    let mut output = bed.deploy(&leader, &[]).unwrap();
    assert!(matches!(next(&mut output), Output::Started(_)));
    let begun = || -> Vec<u32> {
        let names = std::fs::read_dir(&folder).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix("begun.")?.parse().ok()).collect()
    };
    let commands = wait_for(SOON, "the command on all nodes", || {
        let begun = begun();
        if begun.len() == 3 { Ok(begun) } else { Err(format!("{begun:?}")) }
    });
    for node in 1..=3 {
        bed.api.put(&bed.cluster.addresses(), &format!("begun/{node}"), "x", SOON).unwrap();
    }
    let said = follow(output);
    let finished = said.finished.as_ref().unwrap();
    assert!(!finished.succeeded && finished.error.contains("this branch fails"), "{said:?}");
    wait_for(SOON, "the end of the commands", || {
        let left: Vec<_> = commands.iter().filter(|pid| is_alive(**pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    // The next one has the nodes for itself.
    std::fs::write(folder.join("go"), "").unwrap();
    bed.push(&leader, "export async function deploy() { await delay(2500); }").unwrap();
    let last = bed.get("tick");
    let said = follow(bed.deploy(&leader, &[]).unwrap());
    assert!(said.finished.as_ref().unwrap().succeeded, "{said:?}");
    assert_eq!(bed.get("tick"), last, "a branch of the first one went on");
    assert!(!folder.join("went-on").exists(), "a command of the first one went on");
}
