//! What `console` writes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use crate::support::*;

async fn written(code: &str) -> Vec<String> {
    let bench = bench();
    bench.eval(code).await.unwrap();
    bench.console.all()
}

#[tokio::test]
async fn levels() {
    let lines =
        written("console.log('a'); console.info('b'); console.debug('c'); console.warn('d'); console.error('e');")
            .await;
    assert_eq!(lines, ["a", "b", "debug: c", "warn: d", "error: e"]);
}

#[tokio::test]
async fn values() {
    for (code, expected) in [
        ("1, 'two', null, undefined, true, 3n, -0, NaN, Symbol('s')", "1 two null undefined true 3n -0 NaN Symbol(s)"),
        ("{ a: 1, 'b c': 'x', 3: [1, 'y'], s: 'it\\'s' }", "{ 3: [ 1, \"y\" ], a: 1, \"b c\": \"x\", s: \"it's\" }"),
        ("['a\"b', 'c\\nd']", "[ 'a\"b', \"c\\nd\" ]"),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[1,,3]", "[ 1, <empty>, 3 ]"),
        ("new Map([['a', { b: 1 }]]), new Set([1, 'x'])", "Map(1) { \"a\" => { b: 1 } } Set(2) { 1, \"x\" }"),
        ("new Date(0), /a+/g", "1970-01-01T00:00:00.000Z /a+/g"),
        (
            "function f() {}, () => 1, class A {}, class {}",
            "[Function f] [Function (anonymous)] [class A] [class (anonymous)]",
        ),
        ("new (class Point { x = 1; #y = 2 })()", "Point { x: 1 }"),
        ("Object.create(null), Object.create({ inherited: 1 })", "[Object: null prototype] {} {}"),
        ("new Uint8Array([1, 2]), new ArrayBuffer(3)", "Uint8Array(2) [ 1, 2 ] ArrayBuffer(3)"),
        ("{ get a() { return 1 }, set a(v) {}, get b() { throw 1 } }", "{ a: [Getter/Setter], b: [Getter] }"),
        ("Promise.resolve(1), new String('x')", "Promise {} [String: \"x\"]"),
        ("{ a: { b: { c: { d: { e: { f: 1 } } } } } }", "{ a: { b: { c: { d: { e: [Object] } } } } }"),
        ("(() => { const a = { n: 1 }; a.self = a; return a; })()", "{ n: 1, self: [Circular] }"),
        ("'%s is %d and %j%%', 'x', '3', { a: 1 }, 'more'", "x is 3 and {\"a\":1}% more"),
        ("'100%', 5", "100% 5"),
        ("new URL('http://a/b'), new Headers({ A: 'b' })", "URL { http://a/b } Headers { a: \"b\" }"),
        ("new Cluster({ name: 'c' }), [new Cluster({ name: 'd' })]", "Cluster(c) [ Cluster(d) ]"),
        ("await new Cluster({ name: 'c' }).leader()", "Node(1 web-1 10.0.0.1)"),
        ("new Proxy({}, { ownKeys() { throw new Error('no') } })", "[cannot be shown: Error: no]"),
        ("'ä', ['日本', '😀']", "ä [ \"日本\", \"😀\" ]"),
    ] {
        assert_eq!(written(&format!("console.log({code})")).await, [expected], "{code}");
    }
}

#[tokio::test]
async fn long_values_take_lines() {
    let lines = written("console.log({ name: 'x'.repeat(40), other: { deep: 'y'.repeat(40), n: 1 } })").await;
    let expected =
        format!("{{\n  name: \"{}\",\n  other: {{ deep: \"{}\", n: 1 }}\n}}", "x".repeat(40), "y".repeat(40));
    assert_eq!(lines, [expected]);
    let lines = written("console.log(Array.from({ length: 150 }, (_, i) => i))").await;
    assert!(lines[0].ends_with("  ... 50 more\n]"), "{}", lines[0]);
}

#[tokio::test]
async fn errors_show_where() {
    let lines = written("const error = new TypeError('bad'); error.code = 'X'; console.log('failed:', error);").await;
    assert_eq!(lines, ["failed: TypeError: bad\n    at main (cluster.js:2:15) { code: \"X\" }"]);
    let lines = written("console.log([new Error('inner', { cause: 'why' })])").await;
    assert!(lines[0].contains("Error: inner\n"), "{}", lines[0]);
    assert!(lines[0].contains("[cause]: \"why\""), "{}", lines[0]);
    assert!(!lines[0].contains("disco://"), "{}", lines[0]);
}

#[tokio::test]
async fn the_other_methods() {
    let lines = written(
        "console.group('outer'); console.log('a\\nb'); console.group(); console.log('c'); console.groupEnd(); console.groupEnd(); console.groupEnd();
        console.log('d'); console.count(); console.count(); console.count('x'); console.assert(true, 'no'); console.assert(false, 'yes'); console.dir({ a: 1 });
        console.time('t'); console.timeEnd('t'); console.trace('here');",
    )
    .await;
    let expected = [
        "outer",
        "  a\n  b",
        "    c",
        "d",
        "default: 1",
        "default: 2",
        "x: 1",
        "error: Assertion failed: yes",
        "{ a: 1 }",
    ];
    assert_eq!(lines[..9], expected);
    assert!(lines[9].starts_with("t: ") && lines[9].ends_with(" ms"), "{}", lines[9]);
    assert!(lines[10].starts_with("debug: Trace: here\n    at main (cluster.js:"), "{}", lines[10]);
}

/// Each expectation is what Node prints.
#[tokio::test]
async fn formats_are_those_of_node() {
    for (code, expected) in [
        ("'%d %d %d', 1n, Symbol('x'), '0x10'", "1n NaN 16"),
        ("'%d %i %f', {}, '42.9', '1.5x'", "NaN 42 1.5"),
        ("'%s %s %s', -0, 5n, Symbol('q')", "-0 5n Symbol(q)"),
        ("'%s %s', null, { toString() { return 'own'; } }", "null own"),
        ("'%s %s', { a: 1 }, new Date(0)", "{ a: 1 } 1970-01-01T00:00:00.000Z"),
        ("'%j %j', { a: [1] }, undefined", "{\"a\":[1]} undefined"),
        ("'%j', (() => { const a = {}; a.a = a; return a; })()", "[Circular]"),
        ("'%c%s%%', 'color: red', 5", "5%"),
        ("'%x %s', 1", "%x 1"),
        ("'%%'", "%%"),
    ] {
        assert_eq!(written(&format!("console.log({code})")).await, [expected], "{code}");
    }
    for (code, expected) in [
        (
            "[{ a: 1, b: 'x' }, { a: 2, c: true }]",
            "
┌─────────┬───┬─────┬──────┐
│ (index) │ a │ b   │ c    │
├─────────┼───┼─────┼──────┤
│ 0       │ 1 │ 'x' │      │
│ 1       │ 2 │     │ true │
└─────────┴───┴─────┴──────┘",
        ),
        (
            "{ first: { x: 1 }, second: 5 }",
            "
┌─────────┬───┬────────┐
│ (index) │ x │ Values │
├─────────┼───┼────────┤
│ first   │ 1 │        │
│ second  │   │ 5      │
└─────────┴───┴────────┘",
        ),
        (
            "[{ a: 1, b: 2 }], ['b']",
            "
┌─────────┬───┐
│ (index) │ b │
├─────────┼───┤
│ 0       │ 2 │
└─────────┴───┘",
        ),
        (
            "new Map([['k', '日本']])",
            "
┌───────────────────┬─────┬────────┐
│ (iteration index) │ Key │ Values │
├───────────────────┼─────┼────────┤
│ 0                 │ 'k' │ '日本' │
└───────────────────┴─────┴────────┘",
        ),
        ("'text'", "\ntext"),
    ] {
        assert_eq!(written(&format!("console.table({code})")).await, [expected.trim_start()], "{code}");
    }
}

#[tokio::test]
async fn large_values_are_shown_in_part_and_take_little_memory() {
    let bench = bench_with(|options| options.limits.heap_bytes = 16 << 20);
    let code =
        "console.log(new Uint8Array(1 << 20)); console.log(Array(500_000).fill(0)); console.log(['x'.repeat(20_000)]);
        console.table(new Uint8Array(1 << 20));";
    bench.eval(code).await.unwrap();
    let lines = bench.console.all();
    assert!(lines[0].starts_with("Uint8Array(1048576) [") && lines[0].ends_with("... 1048476 more\n]"), "{}", lines[0]);
    assert!(lines[1].ends_with("... 499900 more\n]"), "{}", lines[1]);
    assert!(lines[2].contains("\"... 10000 more characters"), "{}", &lines[2][9_990..]);
    assert_eq!(lines[3].lines().count(), 1004);
}
