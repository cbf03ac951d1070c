//! `crypto.randomUUID`.

pub(crate) mod ops;
