//! `$`: real commands.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use crate::support::*;
use disco_runtime_js::*;
use serde_json::json;

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
    let deadline = Instant::now() + Duration::from_secs(60);
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
    let deadline = Instant::now() + Duration::from_secs(60);
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

#[tokio::test]
async fn the_shell_gets_the_text_as_it_stands() {
    let bench = bench();
    let result = bench
        .eval(
            r#"return [String(await $`printf '%s' 'a.b' | sed 's/\(a\)\.\(b\)/\2-\1/'`), String(await $`printf '%s\n' '\unknown \x' "\$HOME" \\`),
              String(await $`printf %s ${"a\\b"}`), String(await $`printf 'a\tb'`)];"#,
        )
        .await
        .unwrap();
    assert_eq!(result, json!(["b-a", "\\unknown \\x\n$HOME\n\\", "a\\b", "a\tb"]));
}

#[tokio::test]
async fn what_has_no_text_is_not_put_into_a_command() {
    let bench = bench();
    for (value, complaint) in [
        ("undefined", "TypeError: a command cannot contain `undefined`"),
        ("null", "TypeError: a command cannot contain `null`"),
        ("['a', undefined]", "TypeError: a command cannot contain `undefined`"),
        ("() => 1", "TypeError: a command cannot contain a function"),
        ("{}", "TypeError: a command cannot contain an object: use JSON.stringify, or one of its fields"),
        ("[['a']]", "TypeError: a command cannot contain an array within an array"),
        ("delay(1)", "TypeError: a command cannot contain a promise: `await` is missing before it"),
        ("$`echo x`", "TypeError: `echo x` was used in another command before it ran: `await` is missing before it"),
    ] {
        let error = bench.eval(&format!("const value = {value};\nawait $`echo ${{value}}`;")).await.unwrap_err();
        assert_eq!((error.message.as_str(), error.line), (complaint, Some(3)), "{value}");
    }
    let words = "return String(await $`echo ${[1, 2n, true, new URL('http://a/b'), await $`echo x`, new Date(0).toJSON()]} ${''}.`)";
    assert_eq!(bench.eval(words).await.unwrap(), json!("1 2 true http://a/b x 1970-01-01T00:00:00.000Z ."));
}

#[tokio::test]
async fn a_command_that_is_never_awaited_is_an_error() {
    let bench = bench();
    let error = bench.eval("const a = await $`true`;\n$`touch forgotten`;\nreturn a.code;").await.unwrap_err();
    let message = "TypeError: `touch forgotten` was not run: `await` is missing before it";
    assert_eq!((error.message.as_str(), error.line), (message, Some(3)), "{error:?}");
    // What fails otherwise fails for that reason.
    let error = bench.eval("$`true`; throw new Error('first');").await.unwrap_err();
    assert_eq!(error.message, "first");
    let fine = "const all = await Promise.all([$`true`, $`false`.nothrow()]); return [...all.map((one) => one.code), $`x`.command]";
    assert_eq!(bench.eval(fine).await.unwrap(), json!([0, 1, "x"]));
}

#[tokio::test]
async fn input_folder_and_environment_are_options() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let root = folder.path().canonicalize().unwrap();
    let bench = bench_with(|options| options.root = Some(root.clone()));
    let result = bench
        .eval(
            "const bytes = new Uint8Array([97, 0, 98]);
            return [String(await $`cat`.stdin('text\\n')), String(await $`od -An -tx1`.stdin(bytes)), String(await $`wc -c`.stdin('x'.repeat(300000))),
              String(await $`pwd`.cwd('sub')), String(await $`echo $A.$GREETING.`.env({ A: 1, GREETING: undefined })), String(await $`cat`),
              String(await $`printf %s ${'y'.repeat(300000)} | wc -c`)];",
        )
        .await
        .unwrap();
    let sub = root.join("sub").display().to_string();
    assert_eq!(result, json!(["text", " 61 00 62", "300000", sub, "1..", "", "300000"]));
    for (command, complaint) in [
        (
            "$`true`.cwd('nowhere')",
            format!("TypeError: cannot run a command in `{}`: it is not a folder", root.join("nowhere").display()),
        ),
        ("$`true`.stdin(5)", "TypeError: `stdin` must be a string or a Uint8Array".to_owned()),
        ("$`true`.env({ 'A=B': '' })", "TypeError: `A=B` cannot be the name of a variable".to_owned()),
    ] {
        assert_eq!(bench.eval(&format!("await {command}")).await.unwrap_err().message, complaint);
    }
    // `bash` knows it, where `sh` does not; a machine with neither says so.
    let piped = bench.eval("return (await $`false | cat`.pipefail().nothrow()).code").await;
    assert!(
        matches!(&piped, Ok(code) if *code == json!(1))
            || matches!(&piped, Err(error) if error.message.contains("pipefail")),
        "{piped:?}"
    );
}

#[tokio::test]
async fn output_that_was_cut_is_never_taken_for_all_of_it() {
    let bench = bench_with(|options| options.limits.output_bytes = 1000);
    let result = bench
        .eval(
            "const command = () => $`head -c 1001 /dev/zero`, codes = [];
            for (const way of [() => command().text(), () => command().lines(), () => command().json(), async () => `${await command()}`])
              codes.push(await way().then(() => 'none', (error) => error.code));
            const { truncated, stdout } = await command();
            return [codes, truncated, stdout.length, (await $`head -c 1000 /dev/zero`).truncated];",
        )
        .await
        .unwrap();
    assert_eq!(result, json!([["TRUNCATED", "TRUNCATED", "TRUNCATED", "TRUNCATED"], true, 1000, false]));
    let warnings = bench.console.all();
    let warning = "warn: `head -c 1001 /dev/zero` wrote too much output: the rest was dropped (`truncated`)";
    assert_eq!(warnings, [warning; 5]);
}

#[tokio::test]
async fn what_is_left_in_the_background_goes_on_writing() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_with(|options| options.root = Some(folder.path().to_path_buf()));
    let command = "sh -c 'until [ -e go ]; do sleep 0.02; done; for i in 1 2 3; do head -c 50000 /dev/zero; echo x >> ticks; done' & echo started";
    let result = bench.eval(&format!("return String(await $`{command}`)")).await.unwrap();
    assert_eq!(result, json!("started"));
    // Also when the engine is no more.
    drop(bench);
    std::fs::write(folder.path().join("go"), "").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(folder.path().join("ticks")).unwrap_or_default().lines().count() < 3 {
        assert!(Instant::now() < deadline, "it does not go on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
