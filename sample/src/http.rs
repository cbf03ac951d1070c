//! As much of HTTP/1.1 as the sample needs: requests with bodies of a known length, and connections that stay open.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Bytes of a request's head, and of its body.
const MOST_HEAD: u64 = 16 << 10;
const MOST_BODY: usize = 64 << 10;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// The client wants to send another one.
    pub(crate) keep: bool,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into() }
    }
}

/// Answers the requests of one connection until it ends.
pub(crate) fn serve(connection: TcpStream, answer: impl Fn(&Request) -> Answer) {
    // Each failure is the end of the connection: the client notices by itself.
    let _ = connection.set_read_timeout(Some(IDLE));
    let _ = connection.set_nodelay(true);
    let Ok(writer) = connection.try_clone() else { return };
    let _ = exchange(BufReader::new(connection), writer, answer);
}

fn exchange(mut reader: impl BufRead, mut writer: impl Write, answer: impl Fn(&Request) -> Answer) -> io::Result<()> {
    loop {
        let (answer, keep) = match read(&mut reader) {
            Ok(None) => return Ok(()),
            Ok(Some(request)) => (answer(&request), request.keep),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => (Answer::new(400, format!("{error}\n")), false),
            Err(error) => return Err(error),
        };
        writer.write_all(&encode(&answer, keep))?;
        writer.flush()?;
        if !keep {
            return Ok(());
        }
    }
}

/// The next request; `None` at the end of the connection.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut head = reader.take(MOST_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong("expected a request line"));
    };
    let mut request =
        Request { method: method.to_owned(), path: path.to_owned(), body: Vec::new(), keep: version == "HTTP/1.1" };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(wrong("the head does not end"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| wrong("expected a number of bytes"))?,
            "connection" => request.keep = value.eq_ignore_ascii_case("keep-alive"),
            "transfer-encoding" => return Err(wrong("expected `Content-Length`")),
            _ => {}
        }
    }
    if length > MOST_BODY {
        return Err(wrong("the body is too large"));
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

fn encode(answer: &Answer, keep: bool) -> Vec<u8> {
    let reason = match answer.status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Answer",
    };
    let connection = if keep { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    [head.as_bytes(), &answer.body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchanged(requests: &str) -> String {
        let mut answers = Vec::new();
        let echo =
            |request: &Request| Answer::new(200, format!("{} {} {}", request.method, request.path, request.body.len()));
        exchange(requests.as_bytes(), &mut answers, echo).expect("texts can be read");
        String::from_utf8(answers).expect("text")
    }

    #[test]
    fn a_connection_stays_open_until_the_client_closes_it() {
        let answers = exchanged(
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPUT /b HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyzGET /c HTTP/1.1\r\nConnection: close\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
        );
        for answer in ["GET /a 0", "PUT /b 3", "GET /c 0"] {
            assert!(answers.contains(answer), "{answers}");
        }
        assert!(!answers.contains("/d") && answers.matches("Connection: close").count() == 1, "{answers}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for wrong in ["GET\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n"]
        {
            assert!(exchanged(wrong).starts_with("HTTP/1.1 400 "), "{wrong}");
        }
        let large = format!("PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", MOST_BODY + 1);
        assert!(exchanged(&large).contains("too large"));
    }
}
