//! The machines that a cluster has, and how many of them.

pub mod scale;
