//! `env`: the environment that the host lets scripts see.

pub(crate) mod ops;
