//! The machines that a cluster has, and how many of them.

pub mod configure;
pub mod forecast;
pub mod provider;
pub mod scale;
pub mod view;
