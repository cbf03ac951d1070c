//! The store from outside: each rule, a comparison with a naive model, snapshots, and Disco's own records.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not recognised as tests")]

mod bytes;
mod common;
mod generate;
mod model;
mod records;
mod rules;
mod snapshots;
mod space;
