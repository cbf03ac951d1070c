//! `TextEncoder`, `TextDecoder`, `structuredClone`.

pub(crate) mod ops;
