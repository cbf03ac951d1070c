//! `fetch`, `http`, `tcp`, against real servers on the loopback interface.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;

use crate::support::*;
use disco_runtime_js::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers HTTP/1.1: the path says what to do.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                let head_end = loop {
                    let count = stream.read(&mut buffer).await.unwrap();
                    // Gone, or a client that speaks TLS.
                    if count == 0 || buffer[0] == 0x16 {
                        return;
                    }
                    request.extend_from_slice(&buffer[..count]);
                    if let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                        break at + 4;
                    }
                };
                let head = String::from_utf8(request[..head_end].to_vec()).unwrap();
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                while request.len() < head_end + length.unwrap_or(0) {
                    let count = stream.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..count]);
                }
                let answer = answer(&head, &request[head_end..]);
                match answer {
                    Some(answer) => stream.write_all(&answer).await.unwrap(),
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

fn answer(head: &str, body: &[u8]) -> Option<Vec<u8>> {
    let path = head.split(' ').nth(1).unwrap();
    let respond = |status: &str, headers: &str, body: &[u8]| {
        let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        Some(answer)
    };
    match path {
        "/echo" => {
            respond("200 OK", "content-type: text/plain\r\nx-a: 1\r\nx-a: 2\r\n", &[head.as_bytes(), body].concat())
        }
        "/json?q=%C3%A4" => respond("200 OK", "", "{\"a\":\"ä\"}".as_bytes()),
        "/missing" => respond("404 Not Found", "", b"nothing here"),
        "/chunked" => {
            Some(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec())
        }
        "/bytes" => respond("200 OK", "", &[0, 255, 128]),
        "/gzip" => respond("200 OK", "content-encoding: gzip\r\n", &gzip("grüße".repeat(1000).as_bytes())),
        "/bomb" => respond("200 OK", "content-encoding: gzip\r\n", &gzip(&vec![0; 8 << 20])),
        // Two bytes, as brotli has them uncompressed.
        "/brotli" => respond("200 OK", "content-encoding: br\r\n", &[0x8b, 0x00, 0x80, b'h', b'i', 0x03]),
        "/cookies" => respond("200 OK", "set-cookie: a=1; Expires=Mon, 1 Jan\r\nset-cookie: b=2\r\n", b""),
        "/headers" => {
            let headers: String = (0..300).map(|number| format!("x-{number}: {number}\r\n")).collect();
            respond("200 OK", &headers, b"")
        }
        "/away" => respond("302 Found", "location: http://other:word@localhost:1/\r\n", b""),
        "/big" => respond("200 OK", "", &vec![b'x'; 200_000]),
        "/moved" => respond("302 Found", "location: /echo\r\n", b""),
        "/again" => respond("307 Temporary Redirect", "location: /echo\r\n", b""),
        "/loop" => respond("301 Moved", "location: /loop\r\n", b""),
        "/broken" => Some(b"this is not HTTP\r\n\r\n".to_vec()),
        "/cut" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec()),
        _ => None,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn eval(bench: &Bench, address: SocketAddr, code: &str) -> Result<Json, ScriptError> {
    bench.eval(&format!("const base = 'http://{address}';\n{code}")).await
}

#[tokio::test]
async fn fetch_gets_and_posts() {
    let (bench, address) = (bench(), serve().await);
    let result = eval(
        &bench,
        address,
        "const r = await fetch(base + '/echo', { method: 'POST', headers: { 'X-Own': 'ja', authorization: 'secret' }, body: 'grüße' });
        return [r.status, r.ok, r.statusText, r.headers.get('X-A'), r.headers.has('content-type'), r.url === base + '/echo', r.redirected, r.bodyUsed, await r.text(), r.bodyUsed];",
    )
    .await
    .unwrap();
    assert_eq!(
        result.as_array().unwrap()[..8],
        [json!(200), json!(true), json!("OK"), json!("1, 2"), json!(true), json!(true), json!(false), json!(false)]
    );
    let echoed = result[8].as_str().unwrap();
    for part in [
        "POST /echo HTTP/1.1\r\n",
        "x-own: ja\r\n",
        "content-type: text/plain;charset=UTF-8\r\n",
        "content-length: 7\r\n",
        &format!("host: {address}\r\n"),
        "user-agent: disco/",
        "\r\n\r\ngrüße",
    ] {
        assert!(echoed.contains(part), "{part} is missing in {echoed}");
    }
    let result = eval(
        &bench,
        address,
        "const form = await (await fetch(new URL('/echo', base), { method: 'PUT', body: new URLSearchParams({ a: 'b c' }) })).text();
        const missing = await fetch(base + '/missing');
        return [await (await fetch(base + '/json?q=ä')).json(), [...await (await fetch(base + '/bytes')).bytes()], (await (await fetch(base + '/bytes')).arrayBuffer()).byteLength,
          await (await fetch(base + '/chunked')).text(), form.includes('application/x-www-form-urlencoded') && form.endsWith('a=b+c'), missing.ok, missing.status, await missing.text()];",
    )
    .await
    .unwrap();
    assert_eq!(result, json!([{ "a": "ä" }, [0, 255, 128], 3, "abcde", true, false, 404, "nothing here"]));
}

#[tokio::test]
async fn fetch_follows_redirects() {
    let (bench, address) = (bench(), serve().await);
    let result = eval(
        &bench,
        address,
        "const moved = await fetch(base + '/moved', { method: 'POST', body: 'x' });
        const again = await fetch(base + '/again', { method: 'POST', body: 'kept' });
        const manual = await fetch(base + '/moved', { redirect: 'manual' });
        const errors = [];
        for (const options of [{ redirect: 'error' }, {}]) {
          try { await fetch(base + '/loop', options); } catch (error) { errors.push(error.code); }
        }
        return [moved.redirected, moved.url === base + '/echo', (await moved.text()).startsWith('GET '), (await again.text()).endsWith('kept'), manual.status, manual.headers.get('location'), errors];",
    )
    .await
    .unwrap();
    assert_eq!(result, json!([true, true, true, true, 302, "/echo", ["REDIRECT", "REDIRECT"]]));
}

#[tokio::test]
async fn fetch_fails_with_a_code() {
    let (bench, address) = (bench_with(|options| options.limits.output_bytes = 100_000), serve().await);
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for (code, expected) in [
        (format!("fetch('http://{closed}/')"), "ECONNREFUSED"),
        ("fetch('http://no-such-host.invalid/')".to_owned(), "ENOTFOUND"),
        ("fetch('nonsense')".to_owned(), "INVALID"),
        ("fetch('ftp://127.0.0.1/')".to_owned(), "INVALID"),
        ("fetch(base, { headers: { 'a b': 'c' } })".to_owned(), "INVALID"),
        ("fetch(base, { method: 'GET', body: 'x' })".to_owned(), "INVALID"),
        ("fetch(base + '/big')".to_owned(), "TOO_LARGE"),
        ("fetch(base + '/broken')".to_owned(), "HTTP"),
        ("fetch(base + '/cut').then((r) => r.text())".to_owned(), "HTTP"),
        (format!("fetch('https://{address}/echo')"), "TLS"),
        ("http.get(base + '/hangs', { timeout: 50 })".to_owned(), "TIMEOUT"),
        (format!("tcp.connect('{closed}')"), "ECONNREFUSED"),
        ("tcp.connect('nonsense')".to_owned(), "EINVAL"),
    ] {
        let error = eval(&bench, address, &format!("await {code}")).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some(expected), "{code}: {error}");
        assert_eq!(error.line, Some(3), "{code}: {error:?}");
    }
}

#[tokio::test]
async fn fetch_can_be_aborted() {
    let (bench, address) = (bench(), serve().await);
    let result = eval(
        &bench,
        address,
        "const names = [];
        try { await fetch(base + '/hangs', { signal: AbortSignal.timeout(30) }); } catch (error) { names.push(error.name); }
        const controller = new AbortController();
        setTimeout(() => controller.abort('enough'), 5);
        try { await fetch(base + '/hangs', { signal: controller.signal }); } catch (error) { names.push(error); }
        try { await fetch(base + '/echo', { signal: AbortSignal.abort() }); } catch (error) { names.push(error.name); }
        return names;",
    )
    .await
    .unwrap();
    assert_eq!(result, json!(["TimeoutError", "enough", "AbortError"]));
}

#[tokio::test]
async fn probes() {
    let (bench, address) = (bench(), serve().await);
    let result = eval(
        &bench,
        address,
        "const answer = await http.get(base + '/missing');
        const peer = await tcp.connect(base.slice(7), { timeout: 1000 });
        return [answer.status, answer.ok, answer.body, answer.headers.get('content-length'), typeof answer.ms, peer.address === base.slice(7), typeof peer.ms];",
    )
    .await
    .unwrap();
    assert_eq!(result, json!([404, false, "nothing here", "12", "number", true, "number"]));
}

#[tokio::test]
async fn fetch_takes_compressed_bodies_cookies_and_many_headers() {
    let (bench, address) = (bench(), serve().await);
    let result = eval(
        &bench,
        address,
        "const gzip = await (await fetch(base + '/gzip')).text();
        const { headers } = await fetch(base + '/cookies');
        const many = await fetch(base + '/headers');
        let bomb;
        try { await fetch(base + '/bomb'); } catch (error) { bomb = error.code; }
        const own = new Headers([['set-cookie', 'c=3'], ['b', '1'], ['a', '2'], ['b', '3']]);
        return [gzip === 'grüße'.repeat(1000), await (await fetch(base + '/brotli')).text(), (await (await fetch(base + '/echo')).text()).includes('accept-encoding: gzip, deflate, br'),
          headers.getSetCookie(), headers.get('set-cookie'), many.headers.get('x-299'), [...many.headers].length, bomb, [...own], own.getSetCookie()];",
    )
    .await
    .unwrap();
    let expected = json!([
        true,
        "hi",
        true,
        ["a=1; Expires=Mon, 1 Jan", "b=2"],
        "a=1; Expires=Mon, 1 Jan, b=2",
        "299",
        301,
        "TOO_LARGE",
        [["a", "2"], ["b", "1, 3"], ["set-cookie", "c=3"]],
        ["c=3"]
    ]);
    assert_eq!(result, expected);
}

#[tokio::test]
async fn credentials_in_a_url_are_sent_as_such_and_never_shown() {
    let (bench, address) = (bench(), serve().await);
    let result = eval(
        &bench,
        address,
        "const secret = base.replace('//', '//me:s%40fe@');
        const answer = await fetch(secret + '/echo');
        const errors = [];
        for (const path of ['/loop', '/broken', '/away', '/hangs']) {
          try { await http.get(secret + path, { timeout: path === '/hangs' ? 30 : 5000 }); } catch (error) { errors.push(error.message); }
        }
        return [await answer.text(), answer.url === base + '/echo', errors.join()];",
    )
    .await
    .unwrap();
    let echoed = result[0].as_str().unwrap();
    // `me:s@fe`
    assert!(echoed.contains("authorization: Basic bWU6c0BmZQ==\r\n") && echoed.starts_with("GET /echo "), "{echoed}");
    assert_eq!(result[1], json!(true));
    let errors = result[2].as_str().unwrap();
    assert!(errors.matches(',').count() >= 3, "{errors}");
    assert!(!["fe@", "word", "me:"].iter().any(|secret| errors.contains(secret)), "{errors}");
}
