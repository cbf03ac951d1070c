//! The machines of a cluster, and their number.

pub mod configure;
pub mod forecast;
pub mod provider;
pub mod scale;
pub mod view;
