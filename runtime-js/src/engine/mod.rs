//! The engine itself: the only place that knows which one it is.

mod process;
mod thread;

pub use process::prepare_process;
pub(crate) use thread::spawn;
