use std::fmt::Display;
use std::time::{Duration, Instant};

/// The polling interval.
const LOOK: Duration = Duration::from_millis(15);

/// The limit for operations that take milliseconds on an idle machine: tests share two cores with builds and each other.
pub const SOON: Duration = Duration::from_secs(30);

/// Polls until there is a result, and returns it.
///
/// # Panics
/// With the last state, if there is no result at the deadline.
#[track_caller]
pub fn wait_for<T, E: Display>(limit: Duration, what: &str, look: impl FnMut() -> Result<T, E>) -> T {
    look_for(limit, look)
        .unwrap_or_else(|last| panic!("waited {:.1} s for {what}; last seen: {last}", limit.as_secs_f64()))
}

/// Polls until there is a result, and returns it.
///
/// # Errors
/// The last state, if there is no result at the deadline.
pub fn look_for<T, E>(limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    loop {
        match look() {
            Err(_) if start.elapsed() < limit => std::thread::sleep(LOOK),
            seen => return seen,
        }
    }
}

/// Runs `work` and checks that it took no longer than `limit`.
///
/// # Panics
/// With the time, when it took longer.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    assert!(took <= limit, "{what} took {:.2} s, more than {:.2} s", took.as_secs_f64(), limit.as_secs_f64());
    result
}
