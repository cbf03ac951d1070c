//! A small HTTP service that the sample project and the tests deploy: `disco-sample web` and `disco-sample store`; and
//! `disco-sample flood N`, which writes N MB of lines a second to its standard output.
//!
//! It listens where Disco wants it to: at `DISCO_ADDRESS` and `PORT`. Nothing but the standard library, so that it is small.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` (web) | its `VERSION`, task, copy and node |
//! | `GET /started` | when it was executed: microseconds since 1970 |
//! | `GET /healthy` | 200, or 503 with the text of `SAMPLE_UNHEALTHY` |
//! | `POST /log` | writes the body to standard output |
//! | `PUT /keys/NAME`, `GET /keys/NAME` (store) | keeps a value in memory, and gives it back |
//!
//! `SAMPLE_CRASH=1` makes it write some lines and end with 3: a bad version.

mod flood;
mod http;
mod service;

use std::{
    env,
    io::{self, Write},
    net::TcpListener,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use service::Service;

/// The exit code of a version that is to crash.
const CRASHED: u8 = 3;

fn main() -> ExitCode {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros());
    if env::var_os("SAMPLE_CRASH").is_some() {
        for line in 1..=12 {
            say(&format!("reading part {line} of the configuration"));
        }
        complain("cannot read part 13 of the configuration");
        return ExitCode::from(CRASHED);
    }
    if let [_, role, rate] = env::args().collect::<Vec<_>>().as_slice()
        && role == "flood"
    {
        return flood::run(rate);
    }
    match serve(started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn serve(started: u128) -> io::Result<()> {
    let role = env::args().nth(1).unwrap_or_else(|| "web".to_owned());
    let address = format!("{}:{}", variable("DISCO_ADDRESS", "127.0.0.1"), variable("PORT", "8080"));
    let service = Arc::new(Service::new(&role, started));
    let listener =
        TcpListener::bind(&address).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    say(&format!("{role} {} listens at {}", service.version(), listener.local_addr()?));
    for connection in listener.incoming() {
        // A client that went away meanwhile.
        let Ok(connection) = connection else { continue };
        let service = Arc::clone(&service);
        thread::spawn(move || http::serve(connection, |request| service.answer(request)));
    }
    Ok(())
}

/// The value of a variable, or another one where it is not set.
fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// Writes a line to standard output. A reader that went away is no reason to end.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
