//! State of this machine and this process alone: nothing of it is replicated.

pub mod artifacts;
mod hook_guard;
mod logs;
mod probe_counts;
mod renewal;
mod retirement;
mod scripts;

pub use hook_guard::{
    DISABLED as HOOK_DISABLED, ENDS as HOOK_ENDS, HookGuard, NOTED_FOR, describe as describe_hook_off,
};
pub use logs::{FILTER as LOG_FILTER, Logs};
pub use probe_counts::ProbeCounts;
pub use renewal::{NotRenewed, Renewal};
pub use retirement::Retirement;
pub use scripts::{Deploying, DeploymentPlace, ScriptState, Version};
