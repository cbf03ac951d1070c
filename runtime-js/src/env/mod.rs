//! `env`: the environment variables that the host exposes to scripts.

pub(crate) mod ops;
