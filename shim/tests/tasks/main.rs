//! Shims with real tasks.
#![expect(clippy::unwrap_used, reason = "a failed unwrap shows what is wrong")]

mod harness;
mod life;
mod limits;
mod requests;
mod start;
mod stop;
