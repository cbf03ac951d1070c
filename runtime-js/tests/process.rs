//! `$`: real commands.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use disco_runtime_js::*;
use serde_json::json;
use support::*;

#[tokio::test]
async fn commands_run_with_quoted_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_path_buf();
    let bench = bench_with(|options| options.root = Some(root));
    std::fs::write(folder.path().join("a b.txt"), "inhalt").unwrap();
    let result = bench
        .eval(
            r#"
            const file = "a b.txt", evil = "'; echo hacked; '$(echo hacked) `echo hacked` \\ \"", list = ["x y", "z"];
            const result = await $`cat ${file}; printf '<%s>' ${evil} ${list}`;
            return [result.code, result.stdout, result.stderr, `${await $`printf 'a\nb\n'`}`, await $`printf 'a\nb\n'`.lines(),
              await $`echo '{"a":1}'`.json(), await $`printf x`.text(), (await $`exit 3`.nothrow()).code, await $`echo $GREETING`.text(), $`x ${1}`.command];
            "#,
        )
        .await
        .unwrap();
    let evil = "'; echo hacked; '$(echo hacked) `echo hacked` \\ \"";
    assert_eq!(result[1], json!(format!("inhalt<{evil}><x y><z>")));
    assert_eq!(result[3], json!("a\nb"));
    assert_eq!(result[4], json!(["a", "b"]));
    assert_eq!(result[5], json!({ "a": 1 }));
    assert_eq!(result[7], json!(3));
    assert_eq!(result[8], json!("grüß dich"));
    assert_eq!(result[9], json!("x 1"));
}

#[tokio::test]
async fn a_command_that_fails_is_an_error() {
    let bench = bench();
    let error = bench.eval("\n  await $`echo out; echo first >&2; echo last >&2; exit 7`;").await.unwrap_err();
    assert_eq!(error.message, "`echo out; echo first >&2; echo last >&2; exit 7` ended with 7: last");
    assert_eq!((error.code.as_deref(), error.line), (Some("EXIT"), Some(3)), "{error:?}");
    let result = bench
        .eval("try { await $`echo out; echo err >&2; kill -9 $$` } catch (error) { return [error.exit_code, error.stdout, error.stderr] }")
        .await
        .unwrap();
    assert_eq!(result, json!([137, "out\n", "err\n"]));
}

#[tokio::test]
async fn output_is_bounded_and_time_too() {
    let bench = bench_with(|options| options.limits.output_bytes = 1000);
    let result =
        bench.eval("const r = await $`yes | head -c 100000`; return [r.stdout.length, r.truncated]").await.unwrap();
    assert_eq!(result, json!([1000, true]));
    let started = Instant::now();
    let error = bench.eval("await $`sleep 60`.timeout(50)").await.unwrap_err();
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("`sleep 60` took longer than 50 ms", Some("TIMEOUT")));
    let result = bench.eval("const s = AbortSignal.timeout(50); try { await $`sleep 60`.signal(s) } catch (error) { return error.name }").await.unwrap();
    assert_eq!(result, json!("TimeoutError"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// Whether a process that was told by its id is still there (a zombie is not).
fn is_running(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn wait_until_gone(pid: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_running(pid) {
        assert!(Instant::now() < deadline, "{pid} is still running");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_command_whose_call_ended() {
    let bench = bench();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    bench.load("export async function run(file) { await $`sleep 300 & echo $! > ${file}.tmp; mv ${file}.tmp ${file}; wait`; }").await;
    let call = tokio::spawn({
        let (engine, path) = (bench.engine.clone(), file.display().to_string());
        async move { engine.call("run", vec![Arg::Json(json!(path))], CallOptions::new()).await }
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while !file.exists() {
        assert!(Instant::now() < deadline, "the command did not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pid: u64 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(is_running(pid));
    call.abort();
    wait_until_gone(pid).await;
}

#[tokio::test]
async fn a_command_in_the_background_does_not_hold_up_its_shell() {
    let bench = bench();
    let started = Instant::now();
    let result = bench.eval("return (await $`sleep 300 & echo $!`).stdout").await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    let pid: u64 = result.as_str().unwrap().trim().parse().unwrap();
    assert!(is_running(pid));
    std::process::Command::new("kill").arg(pid.to_string()).status().unwrap();
    wait_until_gone(pid).await;
}
