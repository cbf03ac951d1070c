//! The store from outside: each rule, a comparison with a naive model, and snapshots.

mod common;
mod generate;
mod model;
mod rules;
mod snapshots;
