//! What belongs to this machine and this process alone: nothing of it is replicated.

mod logs;
mod renewal;
mod retirement;

pub use logs::{FILTER as LOG_FILTER, Logs};
pub use renewal::{NotRenewed, Renewal};
pub use retirement::Retirement;
