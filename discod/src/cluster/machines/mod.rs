//! The machines of a cluster, and their number.

pub mod capacity;
pub mod configure;
pub mod ending;
pub mod forecast;
pub mod provider;
pub mod scale;
pub mod source;
pub mod view;
