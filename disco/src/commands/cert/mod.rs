//! `disco cert`: which certificates are in use, and new ones.

mod rotate;
mod sign;
mod status;

pub(super) use self::{rotate::run as rotate, sign::run as sign, status::run as status};
