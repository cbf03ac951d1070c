//! An EC2 with machines: moto's server (`tests/aws/cloud.py`), started for one test and never Amazon.

mod cloud;
mod http;
mod python;

pub use cloud::{Call, Cloud, Inventory};
