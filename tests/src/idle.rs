use std::time::Duration;

/// How long a bench leaves a cluster alone before it is measured: `--idle SECONDS`, else a minute.
///
/// # Panics
/// On any other argument.
#[must_use]
pub fn idle_time() -> Duration {
    // `cargo bench` adds its own flag.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match (args.next().as_deref(), args.next()) {
        (Some("--idle"), Some(seconds)) => Duration::from_secs(seconds.parse().expect("a number of seconds")),
        (None, _) => Duration::from_secs(60),
        _ => panic!("unknown argument: expected `--idle SECONDS`"),
    }
}
