//! Output at a steady rate, to measure what it costs others.

use std::{
    io::{self, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Bytes of one write, of lines of 100 bytes.
const PIECE: usize = 64_000;

/// Writes `rate` MB (10^6 bytes) a second until nothing reads it any more.
pub(crate) fn run(rate: &str) -> ExitCode {
    let Some(rate) = rate.parse::<f64>().ok().filter(|rate| *rate > 0.0) else {
        crate::complain(&format!("invalid rate `{rate}`: expected MB per second, such as 100"));
        return ExitCode::FAILURE;
    };
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let piece = line.repeat(PIECE / line.len());
    let pause = Duration::from_secs_f64(piece.len() as f64 / (rate * 1e6));
    let mut due = Instant::now();
    let mut stdout = io::stdout().lock();
    loop {
        if stdout.write_all(&piece).is_err() {
            return ExitCode::SUCCESS;
        }
        due += pause;
        match due.checked_duration_since(Instant::now()) {
            Some(rest) => thread::sleep(rest),
            // A slow reader holds it up; it does not catch up.
            None => due = Instant::now(),
        }
    }
}
