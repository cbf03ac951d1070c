//! `URL`, `URLSearchParams`.

pub(crate) mod ops;
