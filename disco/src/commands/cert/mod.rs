//! `disco cert`: shows, issues and renews certificates.

mod client;
mod rotate;
mod sign;
mod status;

pub(super) use self::{client::run as client, rotate::run as rotate, sign::run as sign, status::run as status};
