//! The globals that need no host, and what must not be there.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use disco_runtime_js::*;
use serde_json::json;

#[tokio::test]
async fn only_what_is_documented_is_global() {
    let bench = bench();
    let extra = bench
        .eval("return Reflect.ownKeys(globalThis).map(String).filter((name) => !/^Symbol\\(/.test(name)).sort()")
        .await
        .unwrap();
    let names: Vec<&str> = extra.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for ours in [
        "$",
        "AbortController",
        "AbortSignal",
        "AwsProvider",
        "Cluster",
        "Headers",
        "HostsProvider",
        "LocalProvider",
        "Node",
        "TextDecoder",
        "TextEncoder",
        "URL",
        "URLSearchParams",
        "ask",
        "clearInterval",
        "clearTimeout",
        "console",
        "crypto",
        "delay",
        "env",
        "fetch",
        "http",
        "queueMicrotask",
        "setInterval",
        "setTimeout",
        "structuredClone",
        "tcp",
    ] {
        assert!(names.contains(&ours), "{ours} is missing");
    }
    for gone in
        ["Deno", "__bootstrap", "Temporal", "WebAssembly", "gc", "ShadowRealm", "temporal", "__infra", "__timers"]
    {
        assert!(!names.contains(&gone), "{gone} is there");
    }
    let internal: Vec<&&str> = names.iter().filter(|name| name.starts_with("__")).collect();
    assert!(internal.len() <= 1, "{internal:?}");
}

/// The polyfill also replaces `Intl.DateTimeFormat` and extends `Date`: that neither happened shows that it never ran.
#[cfg(feature = "quickjs")]
#[tokio::test]
async fn the_temporal_polyfill_was_not_run() {
    let bench = bench();
    let result =
        bench.eval("return [typeof Temporal, typeof Date.prototype.toTemporalInstant, typeof temporal]").await.unwrap();
    assert_eq!(result, json!(["undefined", "undefined", "undefined"]));
}

#[tokio::test]
async fn more_than_24_days_are_waited_for() {
    let bench = bench();
    let result = bench
        .eval(
            "const days = 40 * 24 * 3600 * 1000, seen = [];
            const note = (name) => () => { seen.push(name); };
            for (const wait of [days, 2 ** 31, 2 ** 40, Infinity]) {
              delay(wait).then(note(`delay ${wait}`));
              setTimeout(note(`timeout ${wait}`), wait);
              setInterval(note(`interval ${wait}`), wait);
              AbortSignal.timeout(wait).addEventListener('abort', note(`signal ${wait}`));
            }
            const command = $`sleep 0.1; echo done`.timeout(2 ** 40).text();
            const long = setTimeout(note('cleared'), days);
            clearTimeout(long);
            await delay(150);
            return [...seen, await command];",
        )
        .await
        .unwrap();
    assert_eq!(result, json!(["done"]));
    for wrong in ["AbortSignal.timeout()", "AbortSignal.timeout(-1)", "AbortSignal.timeout('1')"] {
        assert!(bench.eval(wrong).await.unwrap_err().message.contains("must be a number of milliseconds"), "{wrong}");
    }
}

#[tokio::test]
async fn timers() {
    let bench = bench();
    let result = bench
        .eval(
            "const seen = [];
            const cleared = setTimeout(() => seen.push('cleared'), 5);
            clearTimeout(cleared);
            clearTimeout(undefined);
            await new Promise((resolve) => {
              setTimeout((a, b) => seen.push(a + b), 1, 'x', 'y');
              let n = 0;
              const interval = setInterval(() => { seen.push(++n); if (n === 3) { clearInterval(interval); resolve(); } }, 2);
            });
            const before = Date.now();
            await delay(30);
            seen.push(Date.now() - before >= 29);
            await delay(10);
            return seen;",
        )
        .await
        .unwrap();
    let mut sorted = result.as_array().unwrap().clone();
    sorted.retain(|value| value != "xy");
    assert_eq!(sorted, [json!(1), json!(2), json!(3), json!(true)]);
    assert_eq!(result.as_array().unwrap().len(), 5);
    for wrong in ["setTimeout('code', 1)", "await delay('1')", "await delay(-1)"] {
        assert!(bench.eval(wrong).await.unwrap_err().message.starts_with("TypeError"), "{wrong}");
    }
}

#[tokio::test]
async fn abort_controllers() {
    let bench = bench();
    let result = bench
        .eval(
            "const seen = [];
            const controller = new AbortController();
            const { signal } = controller;
            const listener = (event) => seen.push(event.type, event.target === signal);
            signal.addEventListener('abort', listener);
            signal.addEventListener('abort', listener);
            const removed = () => seen.push('removed');
            signal.addEventListener('abort', removed);
            signal.removeEventListener('abort', removed);
            signal.onabort = () => seen.push('on');
            signal.throwIfAborted();
            controller.abort();
            controller.abort();
            seen.push(signal.aborted, signal.reason.name);
            try { signal.throwIfAborted(); } catch (error) { seen.push(error === signal.reason); }
            const any = AbortSignal.any([new AbortController().signal, AbortSignal.abort('why')]);
            seen.push(any.aborted, any.reason);
            try { await delay(60000, { signal: AbortSignal.timeout(5) }); } catch (error) { seen.push(error.name); }
            try { new AbortSignal(); } catch (error) { seen.push(error.name); }
            return seen;",
        )
        .await
        .unwrap();
    assert_eq!(
        result,
        json!(["on", "abort", true, true, "AbortError", true, true, "why", "TimeoutError", "TypeError"])
    );
}

#[tokio::test]
async fn urls() {
    let bench = bench();
    let result = bench
        .eval(
            "const url = new URL('../b?x=1&y=%C3%A4#h', 'http://user:pw@example.com:8080/a/c/d');
            const before = [url.href, url.origin, url.protocol, url.host, url.hostname, url.port, url.pathname, url.search, url.hash, url.username];
            url.searchParams.append('z', 'a b&c');
            url.searchParams.delete('x');
            url.pathname = '/p q';
            url.port = '80';
            url.hash = '';
            const bad = (() => { try { new URL('nonsense'); } catch (error) { return [error.name, error.code]; } })();
            const params = new URLSearchParams({ a: 1, b: 'zwei drei' });
            params.set('a', 2); params.append('a', 3);
            return [before, String(url), JSON.stringify({ url }), bad, URL.canParse('a'), [...params], params.getAll('a'), params.get('x'), params.has('b'), `${params}`];",
        )
        .await
        .unwrap();
    let expected = json!([
        [
            "http://user:pw@example.com:8080/a/b?x=1&y=%C3%A4#h",
            "http://example.com:8080",
            "http:",
            "example.com:8080",
            "example.com",
            "8080",
            "/a/b",
            "?x=1&y=%C3%A4",
            "#h",
            "user"
        ],
        "http://user:pw@example.com/p%20q?y=%C3%A4&z=a+b%26c",
        "{\"url\":\"http://user:pw@example.com/p%20q?y=%C3%A4&z=a+b%26c\"}",
        ["TypeError", "ERR_INVALID_URL"],
        false,
        [["a", "2"], ["b", "zwei drei"], ["a", "3"]],
        ["2", "3"],
        null,
        true,
        "a=2&b=zwei+drei&a=3",
    ]);
    assert_eq!(result, expected);
}

#[tokio::test]
async fn text_and_bytes() {
    let bench = bench();
    let result = bench
        .eval(
            "const bytes = new TextEncoder().encode('ä 日本 😀');
            const broken = new Uint8Array([0xff, 0x41]);
            const fatal = (() => { try { new TextDecoder('utf-8', { fatal: true }).decode(broken); } catch (error) { return error.name; } })();
            const unknown = (() => { try { new TextDecoder('latin1'); } catch (error) { return error.name; } })();
            return [[...bytes.subarray(0, 3)], new TextDecoder().decode(bytes), new TextDecoder().decode(bytes.buffer),
              new TextDecoder().decode(broken), fatal, unknown, new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x41]))];",
        )
        .await
        .unwrap();
    assert_eq!(
        result,
        json!([
            [0xc3, 0xa4, 0x20],
            "äÿ".replace('ÿ', " 日本 😀"),
            "ä 日本 😀",
            "\u{fffd}A",
            "TypeError",
            "RangeError",
            "A"
        ])
    );
}

#[tokio::test]
async fn the_rest() {
    let bench = bench();
    let result = bench
        .eval(
            "const a = { d: new Date(0), m: new Map([[1, { x: [1] }]]) }; a.self = a;
            const b = structuredClone(a);
            const ids = new Set(Array.from({ length: 100 }, () => crypto.randomUUID()));
            const frozen = (() => { try { env.X = '1'; } catch (error) { return error.name; } })();
            return [b !== a, b.self === b, b.d.getTime(), b.m.get(1).x, ids.size, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test([...ids][0]),
              env.GREETING, env.HOME, frozen, await new Promise((resolve) => queueMicrotask(() => resolve('micro')))];",
        )
        .await
        .unwrap();
    assert_eq!(result, json!([true, true, 0, [1], 100, true, "grüß dich", null, "TypeError", "micro"]));
}

#[tokio::test]
async fn dates_in_words() {
    let bench = bench();
    let result = bench
        .eval("return [new Date(0).toISOString(), typeof new Date(0).toLocaleString('en-US', { timeZone: 'Europe/Berlin' })]")
        .await
        .unwrap();
    assert_eq!(result, json!(["1970-01-01T00:00:00.000Z", "string"]));
}

#[tokio::test]
async fn ask_passes_defaults_on() {
    let bench = bench_with(|options| {
        options.hosts.prompt = Some(std::sync::Arc::new(FakePrompt(Record::default(), Json::Null)));
    });
    let result = bench
        .eval("return [await ask('name?', { default: 'x' }), await ask('how many?', { default: 3 })]")
        .await
        .unwrap();
    assert_eq!(result, json!(["x", 3]));
    assert!(bench.eval("await ask()").await.unwrap_err().message.contains("needs a question"));
}

/// Long texts are decoded piece by piece: the pieces must not be seen, wherever they meet.
#[tokio::test]
async fn long_bytes_are_decoded_as_short_ones_are() {
    let bench = bench();
    let result = bench
        .eval(
            "const rests = [[0xf0, 0x9f, 0x98, 0x80, 0x80], [0xc3, 0xa4, 0x41], [0xe6, 0x97, 0xa5], [0x80, 0x80, 0x80, 0x80, 0x80], [0xf0, 0x9f, 0x98]];
            const wrong = [];
            for (const rest of rests) {
              for (let before = 0; before <= 5; before++) {
                const length = (1 << 20) - before;
                const bytes = new Uint8Array(length + rest.length + 8).fill(0x61);
                bytes.set(rest, length);
                const expected = new TextDecoder().decode(bytes.subarray(length - 8));
                const whole = new TextDecoder().decode(bytes);
                if (whole.slice(length - 8) !== expected) wrong.push([rest, before]);
              }
            }
            const broken = new Uint8Array((1 << 20) + 10).fill(0x61);
            broken[(1 << 20) + 3] = 0xff;
            const fatal = (() => { try { new TextDecoder('utf-8', { fatal: true }).decode(broken); } catch (error) { return error.message; } })();
            return [wrong, fatal];",
        )
        .await
        .unwrap();
    assert_eq!(result, json!([[], format!("not UTF-8 from byte {} on", (1 << 20) + 3)]));
}
